"""A checked payload to its readings. Called by ingest.decide for every event, and by aggregate.verify. Pure: no clock, no I/O."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from citybrain.readings.units import conversion
from citybrain_schemas.errors import ItemError, RejectCode
from citybrain_schemas.event_type import EventData, EventType
from citybrain_schemas.metrics import METRICS
from citybrain_schemas.readings import micros, quotient_micros

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
    for metric, posted, unit, numerator, weight, chain, role in kind.read(data):
        if posted is None:
            if numerator is None or weight is None:
                raise AssertionError(f"{metric} has neither a value nor what it is the ratio of")
            found.append(Reading(metric, quotient_micros(numerator, weight), micros(numerator), micros(weight)))
            continue
        value = micros(posted) if unit is None or unit == _CANONICAL[metric] else _converted(metric, posted, unit)
        if isinstance(value, ItemError):
            return value
        found.append(Reading(metric, value, None, None, chain, role))
    return found


def _converted(metric: str, posted: int | Decimal, unit: str) -> int | ItemError:
    canonical = _CANONICAL[metric]
    how = conversion(unit, canonical)
    if how is None:
        detail = f"is not a unit that converts to {canonical}, the unit of {metric}"
        return ItemError(RejectCode.INVALID_FIELD, "data.unit", detail)
    value = how.micros(*posted.as_integer_ratio())
    return value if -MAX_MICROS <= value <= MAX_MICROS else _OUT_OF_RANGE
