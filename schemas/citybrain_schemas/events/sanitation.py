"""Sanitation: how full the bins are, what was collected and cleaned. Read by ingest through EVENT_TYPES."""

from __future__ import annotations

from citybrain_schemas.event_type import Domain, EventData, EventType, Metric, count
from citybrain_schemas.readings import Reading, always
from citybrain_schemas.values import Level


class BinLevel(EventData):
    """How full a bin is; an overflowing one may be above 100."""

    level_percent: Level


class CollectionDone(EventData):
    """A bin or a stop was emptied."""


class StreetCleaned(EventData):
    """A street was swept or washed."""


def _bin_level(data: BinLevel) -> tuple[Reading, ...]:
    return (Reading("bin.level", data.level_percent),)


DOMAIN = Domain(
    "sanitation",
    types=(
        EventType("bin.level", BinLevel, _bin_level, ("bin.level",), sensor=True),
        EventType("collection.done", CollectionDone, always(Reading("sanitation.collections", 1)), ("sanitation.collections",)),
        EventType("street.cleaned", StreetCleaned, always()),
    ),
    metrics=(
        Metric("bin.level", "%", "gauge", "max", "How full the fullest bin is", "垃圾桶满溢度"),
        count("sanitation.collections", "Collections done", "清运次数"),
    ),
)
