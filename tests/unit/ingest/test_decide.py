"""One item is decided: a record as the topic's schema says, or the first thing wrong with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from citybrain.access import Principal, Role
from citybrain.bus.port import Record
from citybrain.ingest.decide import Circumstances, decide
from citybrain.ingest.strict_json import decode_item
from citybrain_schemas.errors import ItemError
from citybrain_schemas.topics import AcceptedEvent
from small_city import EDGE, HERE, HORIZON_DAYS, LEFT, RIGHT, STREET, THERE, meter, occupancy, report, small_city

NOW = datetime.now(UTC)
CITY = small_city()


def _decide(event: object, source_prefix: str | None = None, now: datetime | None = None) -> Record | ItemError:
    principal = Principal(uuid4(), "a key", Role.INGEST, source_prefix)
    return decide(decode_item(json.dumps(event).encode()), Circumstances.of(CITY, principal, now or datetime.now(UTC)))


def _kept(event: object, now: datetime | None = None) -> dict[str, Any]:
    record = _decide(event, now=now)
    assert isinstance(record, Record), record
    AcceptedEvent.model_validate_json(record.value)
    value: dict[str, Any] = json.loads(record.value, parse_float=Decimal)
    return value


def _refused(event: object, **how: Any) -> tuple[str, str | None]:
    found = _decide(event, **how)
    assert isinstance(found, ItemError), found
    return found.code.value, found.field


def test_a_good_event_becomes_a_record_of_the_topic() -> None:
    event = occupancy(time="2026-11-20T08:15:02+08:00", traceid="x")
    record = _decide(event)
    assert isinstance(record, Record)
    assert (record.key, record.type) == (b"lot-1", "parking.occupancy")
    value = _kept(event)
    assert value["time"] == "2026-11-20T00:15:02.000000Z"
    assert value["extensions"] == {"traceid": "x"}
    assert value["data"] == {"occupied": 3, "capacity": 5}
    assert value["readings"] == [
        {"metric": "parking.occupied", "micros": 3_000_000},
        {"metric": "parking.occupied_ratio", "micros": 600_000, "numerator_micros": 3_000_000, "weight_micros": 5_000_000},
    ]


def test_an_event_without_a_subject_is_placed_by_its_source() -> None:
    record = _decide(report())
    assert isinstance(record, Record)
    assert record.key == b"/parking/gateway-7"


def test_decimals_are_written_back_as_the_numbers_that_came() -> None:
    record = _decide(meter(12.345678901234, "m³/h"))
    assert isinstance(record, Record)
    assert b'"value":12.345678901234,' in record.value


def test_personal_fields_are_kept_apart() -> None:
    violation = occupancy(type="parking.violation", data={"violation": "double", "plate": "陕F 12345"})
    value = _kept(violation)
    assert (value["data"], value["personal"]) == ({"violation": "double"}, {"plate": "陕F 12345"})


def test_names_are_kept_up_to_the_bytes_that_an_index_holds() -> None:
    assert _kept(occupancy(source="源" * 400, subject="车" * 100))["source"] == "源" * 400


def test_no_horizon_reaches_before_1970() -> None:
    principal = Principal(uuid4(), "a key", Role.INGEST, None)
    assert Circumstances.of(CITY, principal, datetime(1971, 1, 1, tzinfo=UTC)).earliest == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("delay", "code"), [(301, "future_time"), (-HORIZON_DAYS * 86_400 - 1, "too_old")])
def test_a_time_too_far_ahead_or_behind_is_refused(delay: int, code: str) -> None:
    assert _refused(occupancy(time=(NOW + timedelta(seconds=delay)).isoformat()), now=NOW) == (code, "time")


@pytest.mark.parametrize("delay", [300, -HORIZON_DAYS * 86_400])
def test_a_time_at_the_limit_is_taken(delay: int) -> None:
    _kept(occupancy(time=(NOW + timedelta(seconds=delay)).isoformat()), NOW)


@pytest.mark.parametrize(
    ("event", "area", "flags"),
    [
        (occupancy(area=STREET, subject="lot-known"), STREET, None),
        (occupancy(area=None, subject="lot-known"), RIGHT, None),
        (report(HERE, subject="lot-known"), RIGHT, None),
        (report(HERE), LEFT, None),
        (report(THERE), RIGHT, None),
        (report(EDGE), LEFT, None),
        (report(HERE, area=LEFT), LEFT, None),
        (report(HERE, area=RIGHT), RIGHT, ["outside_area"]),
        (report((0, 0), area=STREET), STREET, ["outside_area"]),
    ],
)
def test_the_area_is_as_given_else_the_rosters_else_where_it_happened(
    event: dict[str, Any], area: str, flags: list[str] | None
) -> None:
    value = _kept(event)
    assert (value["area"], value.get("flags")) == (area, flags)


@pytest.mark.parametrize(
    ("event", "code", "field"),
    [
        (occupancy(area="000000"), "unknown_area", "area"),
        (occupancy(area=None), "unknown_area", "area"),
        (report((0, 0)), "unknown_area", "data.location"),
        (occupancy(subject=None), "invalid_field", "subject"),
        (occupancy(source="源" * 500, subject="车" * 100), "invalid_field", "source"),
        (occupancy(type="parking.levitation"), "unknown_type", "type"),
        (occupancy(data={"occupied": -1, "capacity": 5}), "invalid_field", "data.occupied"),
        (occupancy(data={"occupied": "many", "capacity": 5}), "invalid_field", "data.occupied"),
        (occupancy(time="2026-11-23T08:15:02"), "invalid_field", "time"),
        (meter(1, "furlong"), "invalid_field", "data.unit"),
        (meter(1, "kPa"), "invalid_field", "data.unit"),
        (meter(10_000_000_000, "m3/h"), "out_of_range", "data.value"),
        (meter(900_000_000, "m3/s"), "out_of_range", "data.value"),
        (meter(1, "m3/h", medium="beer"), "invalid_field", "data.medium"),
        ("not an object", "invalid_field", None),
        ([], "invalid_field", None),
    ],
)
def test_a_bad_event_is_refused_with_its_code_and_field(event: object, code: str, field: str | None) -> None:
    assert _refused(event) == (code, field)


def test_a_key_posts_only_sources_that_begin_with_its_prefix() -> None:
    assert _refused(occupancy(), source_prefix="/water/") == ("forbidden_source", "source")
    assert isinstance(_decide(occupancy(), "/parking/"), Record)


def test_a_register_feeds_the_register_and_the_consumption_in_canonical_units() -> None:
    readings = _kept(meter(2, "MWh", quantity="register", medium="power"))["readings"]
    assert readings[0] == {"metric": "power.register", "micros": 2_000_000_000}
    assert readings[1] == {"metric": "power.consumption", "micros": 2_000_000_000, "chain": "", "role": "register"}


def test_a_retry_has_the_same_fingerprint_and_other_content_another() -> None:
    one = occupancy(time="2026-11-20T08:15:02+08:00")
    again = dict(reversed(list(one.items()))) | {"time": "2026-11-20T00:15:02.000Z", "trace": "7"}
    other = one | {"data": {"occupied": 4, "capacity": 5}}
    assert _kept(one)["fingerprint"] == _kept(again)["fingerprint"] != _kept(other)["fingerprint"]
