"""The payload of every type: what is taken, what is refused, and with which code and path."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from citybrain_schemas.envelope import check_data
from citybrain_schemas.errors import ItemError, RejectCode
from citybrain_schemas.event_type import EventData
from citybrain_schemas.events import EVENT_TYPES

SPOT = {"type": "Point", "coordinates": [109, Decimal("36.5")]}
READING = {"medium": "water", "quantity": "flow", "value": Decimal("1.5"), "unit": "m³/h"}
REPORT = {"category": "0110", "description": "rubbish", "location": SPOT}

VALID: dict[str, dict[str, Any]] = {
    "parking.occupancy": {"occupied": 230, "capacity": 220},
    "parking.session.started": {"session_id": "s-1"},
    "parking.session.ended": {"session_id": "s-1", "space": "7", "plate": "A 1"},
    "parking.violation": {"violation": "double"},
    "utility.reading": READING,
    "utility.outage.started": {"medium": "power", "customers": 340},
    "utility.outage.ended": {"medium": "power"},
    "utility.leak.reported": {"medium": "gas", "severity": "major"},
    "case.reported": {"category": "0110", "reporter": "somebody", "phone": "1"},
    "case.verified": {"phase": "closing", "passed": False},
    "case.filed": {"category": "0110", "condition": "default"},
    "case.dispatched": {"department": "water"},
    "case.returned": {"to": "dispatcher"},
    "case.appealed": {"granted": True},
    "case.updated": {"description": ""},
    "patrol.started": {"location": SPOT},
    "patrol.ended": {"patrol_id": "p-1"},
    "bin.level": {"level_percent": 130},
    "collection.done": {},
    "street.cleaned": {},
    "facility.status": {"state": "破损"},
    "device.heartbeat": {},
    "device.battery": {"percent": Decimal("99.5")},
    "citizen.report": REPORT | {"media": ["https://example.org/1.jpg"]},
}
PLAIN_STAGES = ("accepted", "declined", "handled", "fed_back", "closed", "paused", "resumed", "extended", "voided", "commented")
VALID |= {f"case.{stage}": {"case_id": "c-1", "category": "0101", "comment": "x"} for stage in PLAIN_STAGES}

INVALID: list[tuple[str, dict[str, Any], str]] = [
    ("parking.occupancy", {"occupied": -1, "capacity": 5}, "data.occupied"),
    ("parking.occupancy", {"occupied": Decimal("1.5"), "capacity": 5}, "data.occupied"),
    ("parking.occupancy", {"capacity": 5}, "data.occupied"),
    ("parking.session.started", {"session_id": ""}, "data.session_id"),
    ("parking.session.ended", {"session_id": 7}, "data.session_id"),
    ("parking.violation", {"violation": "v" * 65}, "data.violation"),
    ("utility.reading", READING | {"medium": "beer"}, "data.medium"),
    ("utility.reading", READING | {"quantity": "joy"}, "data.quantity"),
    ("utility.reading", READING | {"unit": None}, "data.unit"),
    ("utility.outage.started", {"medium": "power"}, "data.customers"),
    ("utility.outage.ended", {"medium": "power", "customers": -2}, "data.customers"),
    ("utility.leak.reported", {"medium": "gas"}, "data.severity"),
    ("case.reported", {}, "data.category"),
    ("case.verified", {"passed": "yes"}, "data.passed"),
    ("case.filed", {}, "data.category"),
    ("case.dispatched", {"department": ""}, "data.department"),
    ("case.returned", {"to": "sender"}, "data.to"),
    ("case.appealed", {"granted": 1}, "data.granted"),
    ("case.updated", {"description": "d" * 10_001}, "data.description"),
    ("patrol.started", {"patrol_id": []}, "data.patrol_id"),
    ("patrol.ended", {"who": "me"}, "data.who"),
    ("bin.level", {"level_percent": -1}, "data.level_percent"),
    ("collection.done", {"by": "truck"}, "data.by"),
    ("street.cleaned", {"metres": 3}, "data.metres"),
    ("facility.status", {}, "data.state"),
    ("device.heartbeat", {"extra": 1}, "data.extra"),
    ("device.battery", {"percent": 101}, "data.percent"),
    ("citizen.report", {"category": "0110", "description": "x"}, "data.location"),
    ("citizen.report", REPORT | {"location": {"type": "Point", "coordinates": [1]}}, "data.location.coordinates"),
    ("citizen.report", REPORT | {"location": {"type": "Point", "coordinates": [181, 0]}}, "data.location.coordinates"),
    ("citizen.report", REPORT | {"location": {"type": "Point", "coordinates": ["1", 2]}}, "data.location.coordinates"),
    ("citizen.report", REPORT | {"location": {"type": "LineString", "coordinates": [1, 2]}}, "data.location.type"),
    ("citizen.report", REPORT | {"location": SPOT | {"crs": "GCJ02"}}, "data.location.crs"),
    ("citizen.report", REPORT | {"media": ["ok", 1]}, "data.media.1"),
    ("citizen.report", REPORT | {"media": ["x"] * 21}, "data.media"),
]  # fmt: skip
INVALID += [(f"case.{stage}", {"comment": "\0"}, "data.comment") for stage in PLAIN_STAGES]


def errors(name: str, data: object) -> list[ItemError]:
    found = check_data(EVENT_TYPES[name], data)
    assert isinstance(found, list), found
    return found


def value_of(name: str, data: dict[str, Any], field: str) -> object:
    model = check_data(EVENT_TYPES[name], data)
    assert isinstance(model, EventData), model
    return getattr(model, field)


def test_every_type_has_a_valid_and_an_invalid_payload_here() -> None:
    assert set(VALID) == set(EVENT_TYPES)
    assert {name for name, _, _ in INVALID} == set(EVENT_TYPES)


@pytest.mark.parametrize("name", sorted(VALID))
def test_valid_payload_is_taken(name: str) -> None:
    assert isinstance(check_data(EVENT_TYPES[name], VALID[name]), EVENT_TYPES[name].data)


@pytest.mark.parametrize(("name", "data", "field"), INVALID)
def test_invalid_payload_is_refused_with_its_path(name: str, data: dict[str, Any], field: str) -> None:
    assert [(one.code, one.field) for one in errors(name, data)] == [(RejectCode.INVALID_FIELD, field)]


@pytest.mark.parametrize("data", [None, [], "text", 1])
def test_payload_that_is_no_object_is_refused(data: object) -> None:
    assert errors("device.heartbeat", data)[0].field == "data"


@pytest.mark.parametrize(
    "value", [10**9 + 1, -(10**9) - 1, Decimal("1E+400"), Decimal("-1E+400"), Decimal("1E+999999999"), 1e300]
)
def test_number_beyond_a_thousand_million_is_out_of_range(value: object) -> None:
    assert errors("utility.reading", READING | {"value": value})[0].code == RejectCode.OUT_OF_RANGE
    assert errors("parking.occupancy", {"occupied": value, "capacity": 1})[0].code == RejectCode.OUT_OF_RANGE


def test_number_too_long_to_be_written_out_is_out_of_range() -> None:
    assert errors("utility.reading", READING | {"value": 10**5000})[0].code == RejectCode.OUT_OF_RANGE


@pytest.mark.parametrize("value", [True, False, "1", None, [1], {}, Decimal("NaN"), float("nan")])
def test_what_is_no_number_is_not_taken_for_one(value: object) -> None:
    found = errors("utility.reading", READING | {"value": value})
    assert [(one.code, one.field) for one in found] == [(RejectCode.INVALID_FIELD, "data.value")]
    assert errors("parking.occupancy", {"occupied": value, "capacity": 1})[0].code == RejectCode.INVALID_FIELD


@pytest.mark.parametrize("value", [float("inf"), Decimal("-Infinity")])
def test_infinity_is_out_of_range(value: object) -> None:
    assert errors("utility.reading", READING | {"value": value})[0].code == RejectCode.OUT_OF_RANGE


@pytest.mark.parametrize("value", [10**9, -(10**9), Decimal("0.1"), Decimal("1E-400"), 0])
def test_number_within_limits_is_kept_exactly(value: int | Decimal) -> None:
    assert value_of("utility.reading", READING | {"value": value}, "value") == value


def test_float_of_an_app_is_taken_by_its_shortest_decimal_form() -> None:
    assert value_of("utility.reading", READING | {"value": 0.1}, "value") == Decimal("0.1")


def test_whole_number_with_a_point_is_a_count() -> None:
    found = value_of("parking.occupancy", {"occupied": Decimal("5.0"), "capacity": Decimal("1E+2")}, "occupied")
    assert (found, type(found)) == (5, int)


@pytest.mark.parametrize("text", ["\ud800", "a\udc00b", "a\0b"])
def test_text_that_cannot_be_kept_is_refused(text: str) -> None:
    assert errors("citizen.report", REPORT | {"description": text})[0].field == "data.description"
    assert errors("facility.status", {"state": text})[0].field == "data.state"


@pytest.mark.parametrize(
    "text",
    [
        "👩‍👩‍👧",
        "\u202etest\u202e",
        "Z̷a̷l̷g̷o̷",
        "\x1b[31mred",
        "a\tb\r\n",
        "\ufeff",
        "\uf8ff",
        "'; drop table event; --",
        "\U0010fffd",
    ],
)
def test_any_other_text_survives(text: str) -> None:
    assert value_of("citizen.report", REPORT | {"description": text}, "description") == text


def test_error_never_repeats_the_value_and_bounds_the_path() -> None:
    secret = "ZQ-7731" * 100
    found = errors("parking.violation", {"violation": secret, secret: 1, "\ud800": 1})
    assert all(secret[:50] not in one.detail for one in found)
    assert all(len(one.field or "") <= 200 for one in found)
    assert all((one.field or "").encode("utf-8") for one in found)


def test_one_item_has_a_handful_of_errors_at_most() -> None:
    assert len(errors("device.heartbeat", {f"f{n}": n for n in range(1000)})) == 5


def test_personal_fields_are_marked_once_and_listed() -> None:
    listed = {name: set(kind.personal) for name, kind in EVENT_TYPES.items() if kind.personal}
    assert listed == {
        "parking.session.started": {"plate"},
        "parking.session.ended": {"plate"},
        "parking.violation": {"plate"},
        "case.reported": {"reporter", "phone"},
        "citizen.report": {"reporter", "phone"},
    }
    for name, fields in listed.items():
        properties = EVENT_TYPES[name].data.model_json_schema()["properties"]
        assert {field for field, schema in properties.items() if schema.get("personal")} == fields


def test_personal_fields_may_be_left_out() -> None:
    for kind in EVENT_TYPES.values():
        assert not any(kind.data.model_fields[field].is_required() for field in kind.personal)


@pytest.mark.parametrize("name", sorted(VALID))
def test_payload_written_by_its_model_is_taken_back(name: str) -> None:
    model = check_data(EVENT_TYPES[name], VALID[name])
    assert isinstance(model, EventData)
    assert EVENT_TYPES[name].data.model_validate_json(model.model_dump_json()) == model
