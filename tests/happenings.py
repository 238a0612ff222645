"""Generated events of every kind, as the bus carries them. Used by the tests that hold whatever the order of arrival.

Few assets, few areas and few moments, so that ties, falls, missing partners and shared minutes are common.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from citybrain_schemas.metrics import METRICS
from records import CITY, DISTRICTS, GRIDS, accepted, occupancy, reading

Happening = dict[str, Any]
ZONES = ("Asia/Shanghai", "Asia/Kathmandu", "Europe/London", "Australia/Lord_Howe", "Asia/Beirut")
AREAS = (GRIDS[0], GRIDS[1], GRIDS[6], GRIDS[0][:12], GRIDS[0][:9], DISTRICTS[1], CITY)
_AROUND = tuple(
    datetime.fromisoformat(f"{text}:00+00:00")
    for text in (
        "2013-12-31T16:00", "2024-02-29T18:15", "2024-03-30T22:00", "2024-03-31T00:00", "2024-03-31T23:00",
        "2024-10-05T13:30", "2024-10-06T13:00", "2024-10-26T21:00", "2024-10-27T01:00", "2026-03-01T00:00",
    )
)  # fmt: skip
_INTO_THE_MINUTE = tuple(timedelta(microseconds=micros) for micros in (0, 1, 30_000_000, 59_999_999))
_ODD = ("", " ", '"', "'", ",", "\\.", "\\N", "é", "😀", "{}", "\\", '""', " x ", "null", "%s", "$1")
_SOURCES = ("/a", "/b", '/a "b", c', "/ü\\")
_MOMENTS = st.builds(
    lambda around, minutes, into: around + timedelta(minutes=minutes) + into,
    st.sampled_from(_AROUND),
    st.sampled_from((-61, -60, -1, 0, 0, 1, 2, 59, 60)),
    st.sampled_from(_INTO_THE_MINUTE),
)
_VALUES = st.one_of(
    st.integers(-3, 12).map(Decimal),
    st.sampled_from(("1000000000", "-1000000000", "0.000001", "-0.000001", "333.333333", "999999999.999999")).map(Decimal),
)  # fmt: skip
_KINDS = ("occupancy", "flow", "pressure", "bin", "register", "direct", "started", "ended", "report", "outage", "case")


@st.composite
def happenings(draw: st.DrawFn, most: int = 30) -> list[Happening]:
    """Distinct events: no identity twice."""
    base = draw(st.lists(_MOMENTS, min_size=1, max_size=4))
    some = st.lists(st.sampled_from(_KINDS), min_size=1, max_size=6)
    kinds = st.sampled_from(draw(st.one_of(st.just(["register"]), st.just(["started", "ended"]), some, some)))
    count = draw(st.integers(1, most))
    return [_one(draw, n, draw(kinds), draw(st.one_of(st.sampled_from(base), _MOMENTS))) for n in range(count)]


def _one(draw: st.DrawFn, n: int, kind: str, at: datetime) -> Happening:
    more: dict[str, Any] = {
        "source": draw(st.sampled_from(_SOURCES)),
        "area": draw(st.sampled_from(AREAS[:2] if kind == "register" else AREAS)),
        "subject": f"{kind} {draw(st.sampled_from(_ODD[:6]))}{draw(st.integers(0, 1))}",
    }
    identity = f"{draw(st.sampled_from(_ODD))}{n}"
    text = draw(st.sampled_from(_ODD))
    value = draw(_VALUES)
    match kind:
        case "occupancy":
            one = occupancy(identity, at, draw(st.integers(0, 9)), draw(st.sampled_from((1, 3, 7, 100))), **more)
        case "flow" | "pressure" | "direct" | "register":
            one = _meter(identity, at, kind, value, more)
        case "bin":
            level = abs(value)
            one = accepted(identity, at, [reading("bin.level", level)], type="bin.level", data={"level_percent": level}, **more)
        case "started" | "ended":
            more |= {"subject": f"street-{draw(st.integers(0, 1))}", "data": {"session_id": draw(st.sampled_from(("s", 'q"')))}}
            one = session(identity, at, kind, **more)
        case "case":
            more |= {"data": {"category": "0101", "description": text}}
            one = accepted(identity, at, [reading("case.reported", 1)], type="case.reported", **more)
        case "report":
            data = {"category": "litter", "description": text, "location": {"type": "Point", "coordinates": [109, 36]}}
            more |= {"subject": None, "data": data, "flags": ["outside_area"], "personal": {"reporter": text}}
            one = accepted(identity, at, [reading("citizen.reports", 1)], type="citizen.report", **more)
        case _:
            readings = [reading("water.outages", 1), reading("water.outage_customers", abs(int(value)))]
            more |= {"subject": None, "data": {"medium": "water", "customers": abs(int(value))}}
            one = accepted(identity, at, readings, type="utility.outage.started", **more)
    return one


def session(identity: str, at: datetime, role: str, **more: Any) -> Happening:
    """The beginning or the end of a vehicle's stay; `data` says of which session."""
    dwell = reading("parking.dwell", 0, chain=more["data"]["session_id"], role=role)
    readings = [reading("parking.sessions", 1), dwell] if role == "started" else [dwell]
    return accepted(identity, at, readings, type=f"parking.session.{role}", **more)


def _meter(identity: str, at: datetime, quantity: str, value: Decimal, more: dict[str, Any]) -> Happening:
    if quantity == "direct":
        readings = [reading("water.consumption", value, role="direct")]
    elif quantity == "register":
        readings = [reading("water.register", value), reading("water.consumption", value, chain="", role="register")]
    else:
        readings = [reading(f"water.{quantity}", value)]
    subject = "meter 0" if quantity in {"direct", "register"} else more["subject"]
    name = "consumption" if quantity == "direct" else quantity
    data = {"medium": "water", "quantity": name, "value": value, "unit": METRICS[f"water.{name}"].unit}
    return accepted(identity, at, readings, **more | {"type": "utility.reading", "subject": subject, "data": data})


def instant(happening: Happening) -> datetime:
    """Its time."""
    return datetime.fromisoformat(happening["time"]).astimezone(UTC)
