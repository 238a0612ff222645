"""Parking: how full, who stays how long, what is against the rules. Read by ingest through EVENT_TYPES.

More cars than places is kept as posted: it is what people look for. Names follow the Curb Data Specification.
"""

from __future__ import annotations

from citybrain_schemas.event_type import Domain, EventData, EventType, Metric, Plate, count
from citybrain_schemas.readings import Reading, always
from citybrain_schemas.values import Code, Count, Name


class Occupancy(EventData):
    """How many places of a lot are taken, of how many."""

    occupied: Count
    capacity: Count


class SessionStarted(EventData):
    """A vehicle begins to park; the end comes with the same `session_id`."""

    session_id: Name
    space: Code | None = None
    plate: Plate = None


class SessionEnded(EventData):
    """A vehicle leaves."""

    session_id: Name
    space: Code | None = None
    plate: Plate = None


class Violation(EventData):
    """A vehicle stands against the rules."""

    violation: Code
    plate: Plate = None


def _occupancy(data: Occupancy) -> tuple[Reading, ...]:
    occupied, capacity = data.occupied, data.capacity
    taken = Reading("parking.occupied", occupied)
    if not capacity:
        return (taken,)
    return (taken, Reading("parking.occupied_ratio", None, None, occupied, capacity))


def _started(data: SessionStarted) -> tuple[Reading, ...]:
    start = Reading("parking.dwell", 0, chain=data.session_id, role="started")
    return (Reading("parking.sessions", 1), start)


def _ended(data: SessionEnded) -> tuple[Reading, ...]:
    return (Reading("parking.dwell", 0, chain=data.session_id, role="ended"),)


DOMAIN = Domain(
    "parking",
    types=(
        EventType("parking.occupancy", Occupancy, _occupancy, ("parking.occupied", "parking.occupied_ratio"), sensor=True),
        EventType("parking.session.started", SessionStarted, _started, ("parking.sessions", "parking.dwell"), sensor=True),
        EventType("parking.session.ended", SessionEnded, _ended, ("parking.dwell",), sensor=True),
        EventType("parking.violation", Violation, always(Reading("parking.violations", 1)), ("parking.violations",)),
    ),
    metrics=(
        Metric("parking.occupied", "spaces", "gauge", "sum", "Places taken", "已占泊位"),
        Metric("parking.occupied_ratio", "1", "gauge", "ratio", "Share of places taken", "泊位占用率"),
        count("parking.sessions", "Parking sessions begun", "停车次数"),
        Metric("parking.dwell", "s", "gauge", "mean", "How long a vehicle parked", "停车时长"),
        count("parking.violations", "Parking violations", "违停数"),
    ),
)
