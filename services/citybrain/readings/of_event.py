"""A checked payload to its readings. Called by ingest.decide for every event, and by aggregate.verify. Pure: no clock, no I/O."""

from __future__ import annotations

import msgspec

from citybrain.readings.units import conversion
from citybrain_schemas.errors import ItemError, RejectCode
from citybrain_schemas.event_type import EventData, EventType
from citybrain_schemas.metrics import METRICS
from citybrain_schemas.readings import Reading as PostedReading
from citybrain_schemas.readings import micros

MAX_MICROS = 10**15  # ±10⁹ of any unit
_CANONICAL = {name: metric.unit for name, metric in METRICS.items()}
_OUT_OF_RANGE = ItemError(RejectCode.OUT_OF_RANGE, "data.value", "must be within ±1000000000 in the metric's unit")


class Reading(msgspec.Struct, omit_defaults=True, gc=False):
    """`topics.AcceptedReading`: figures are millionths of the metric's own unit."""

    metric: str
    micros: int
    numerator_micros: int | None = None
    weight_micros: int | None = None
    chain: str | None = None
    role: str | None = None


def readings_of(kind: EventType, data: EventData) -> list[Reading] | ItemError:
    """What the payload says of each metric, or why that cannot be told. `data` is of `kind.data`, or has its fields."""
    found: list[Reading] = []
    for reading in kind.read(data):
        metric, posted, unit, numerator, weight, chain, role = reading
        value = micros(posted) if unit is None or unit == _CANONICAL[metric] else _converted(reading)
        if isinstance(value, ItemError):
            return value
        if numerator is None or weight is None:
            found.append(Reading(metric, value, None, None, chain, role))
        else:
            found.append(Reading(metric, value, micros(numerator), micros(weight)))
    return found


def _converted(reading: PostedReading) -> int | ItemError:
    canonical = _CANONICAL[reading.metric]
    unit = reading.unit
    if unit is None or unit == canonical:
        return micros(reading.value)
    how = conversion(unit, canonical)
    if how is None:
        detail = f"is not a unit that converts to {canonical}, the unit of {reading.metric}"
        return ItemError(RejectCode.INVALID_FIELD, "data.unit", detail)
    value = how.micros(*reading.value.as_integer_ratio())
    return value if -MAX_MICROS <= value <= MAX_MICROS else _OUT_OF_RANGE
