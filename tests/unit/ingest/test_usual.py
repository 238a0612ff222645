"""The quick way to decide an event only ever accepts, and makes the same record, byte for byte, as deciding in full."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from citybrain.access import Principal, Role
from citybrain.bus.port import Record
from citybrain.ingest.decide import Circumstances, decide, decide_usual
from citybrain.ingest.record import json_instant
from citybrain.ingest.strict_json import NotJson, decode_item
from citybrain.ingest.usual import read_usual
from citybrain_schemas.envelope import Envelope, check_event
from citybrain_schemas.events import EVENT_TYPES
from citybrain_schemas.instants import format_time
from small_city import LEFT, meter, occupancy, small_city

NOW = datetime.now(UTC)
AROUND = Circumstances.of(small_city(), Principal(uuid4(), "a key", Role.INGEST, "/parking"), NOW)
DATA = Path(__file__).parents[2] / "data"
EXAMPLES = sorted((DATA.parents[1] / "schemas" / "examples").rglob("*.json"))
SUITE = sorted((DATA / "json_test_suite" / "test_parsing").glob("*.json"))
VECTORS = sorted((DATA / "cloudevents").glob("*.json"))

NUMBERS = st.sampled_from([
    "0", "5", "-1", "-0", "-0.0", "5.0", "5.50", "1e3", "1E-3", "1e-900", "1e400", "9.123", "0.0000005", "0.0000015",
    "0.00000001", "1000000000", "1000000000.0", "1000000000.000001", "1000000001", "-1000000000.5", "1.5e" + "0" * 500,
    "0." + "0" * 500 + "1", "123456789.123456789", "123456789012345.0", "1234567890123456.5",
    "12345678901234567890", "1e999999999999999999", "9" * 500,
    "NaN", "Infinity", "01", "1.", "true", "null", '"5"', "[1]", "{}",
])  # fmt: skip
DECIMALS = st.decimals(-(10**9), 10**9, places=7).map(str) | st.integers(-2, 10**9).map(str)
TEXTS = st.sampled_from([
    "", "x", "停", "a b", "\u3000", "\u0000", "\u0007", "\u200b", "\ud800", "\ufffe", "\U0001f600", "x" * 33, "x" * 257,
    "x" * 1025, LEFT, "610600001001", "/parking/7", "/water/7", "lot-known", "parking.occupancy",
    "utility.reading", "device.heartbeat",
    "m³/h", "m3/h", "L/s", "°F", "°C", "kPa", "parsec", "water", "heat", "flow", "register", "consumption", "1.0", "0.3",
    "application/json", "text/plain",
])  # fmt: skip
FORMATS = st.sampled_from([
    "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S.%f+00:00", "%Y-%m-%dT%H:%M:%S-00:00",
    "%Y-%m-%dT%H:%M:%S.123Z",
    "%Y-%m-%dT%H:%M:%S.%f+08:00", "%Y-%m-%dT%H:%M:%S+08:60", "%Y-%m-%dT%H:%M:%S+24:00", "%Y-%m-%dT%H:%M:%S.%f789Z", "%Y-%m-%d",
    "%Y-%m-%dt%H:%M:%Sz", "%Y-%m-%d %H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S,5Z",
    "%Y%m%dT%H%M%SZ", "%Y-%m-%dT%H:%M:60Z",
])  # fmt: skip
TIMES = st.builds(
    lambda shape, minutes: (NOW - timedelta(minutes=minutes)).strftime(shape), FORMATS, st.integers(-10, 4100 * 24 * 60)
)
VALUES = NUMBERS | DECIMALS | (TEXTS | TIMES).map(json.dumps)
NAMES = st.sampled_from([
    "specversion", "id", "source", "type", "time", "subject", "area", "datacontenttype", "dataschema", "extension", "Bad-Name",
    "data", "occupied", "capacity", "medium", "quantity", "value", "unit", "location", "percent",
])  # fmt: skip
Pair = tuple[str, str]
CHANGES = st.lists(st.tuples(NAMES, VALUES), max_size=3)


def usual_events() -> list[dict[str, Any]]:
    """Events that have to go the quick way."""
    at = (NOW - timedelta(minutes=1)).replace(microsecond=0)
    times = [at.isoformat(), f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%dT%H:%M:%S.250Z}", f"{at:%Y-%m-%dT%H:%M:%S.000001Z}"]
    readings = [meter(9.123, "m³/h"), meter(4, "L/s"), meter(50.5, "°F", "temperature"), meter(12.50, "m³", "register")]
    return [
        *(occupancy(time=time) for time in times),
        occupancy(data={"occupied": 0, "capacity": 0}, datacontenttype="application/json"),
        occupancy(area=None, subject="lot-known"),
        *(event | {"source": "/parking/meters"} for event in readings),
        occupancy(type="device.heartbeat", data={}),
        occupancy(type="utility.leak.reported", subject=None, data={"medium": "gas", "severity": "bad"}),
    ]


def in_full(text: bytes) -> Record | None:
    """The record, if there is one."""
    try:
        found = decide(decode_item(text), AROUND)
    except NotJson:
        return None
    return found if isinstance(found, Record) else None


def assert_agreed(text: bytes) -> None:
    """What the quick way accepts is what deciding in full makes."""
    usual = decide_usual(text, AROUND)
    assert usual is None or usual == in_full(text), text[:2000]
    read = read_usual(text)
    if read is not None:
        checked = check_event(decode_item(text))
        assert not isinstance(checked, list), checked
        event, kind, data, time = read
        assert (kind, kind.read(data)) == (checked.type, checked.type.read(checked.data))
        names = Envelope(event.id, event.source, event.type, time, event.subject, event.area, event.data, None)
        assert names == checked.envelope


def written(event: dict[str, Any], changes: list[Pair], *, into_data: bool) -> bytes:
    """The event as JSON, with members added at the end of it or of its data, so that some are there twice."""
    data = [(name, json.dumps(value)) for name, value in event["data"].items()]
    outer = [(name, json.dumps(value)) for name, value in event.items() if name != "data"]
    (data if into_data else outer).extend(changes)
    outer.insert(len(outer) // 2, ("data", _object(data)))
    return _object(outer).encode("utf-8", "surrogatepass")


def _object(pairs: list[Pair]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in pairs) + "}"


def replaced(event: dict[str, Any], changes: list[Pair]) -> bytes:
    """The event as JSON with the members replaced wherever they are, or added to its data."""
    data = {name: json.dumps(value) for name, value in event["data"].items()}
    outer = {name: json.dumps(value) for name, value in event.items() if name != "data"}
    for name, value in changes:
        (outer if name in outer else data)[name] = value
    return _object([*outer.items(), ("data", _object(list(data.items())))]).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("event", usual_events())
def test_usual_events_go_the_quick_way(event: dict[str, Any]) -> None:
    text = json.dumps(event, ensure_ascii=False).encode()
    assert decide_usual(text, AROUND) == in_full(text) is not None


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(usual_events()), CHANGES)
def test_events_with_other_members_are_decided_alike(event: dict[str, Any], changes: list[Pair]) -> None:
    assert_agreed(replaced(event, changes))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(usual_events()), CHANGES, st.booleans())
@example(occupancy(), [("type", '"utility.reading"')], False)
@example(occupancy(), [("data", '"\\ud800"')], False)
def test_events_with_members_given_twice_are_decided_alike(event: dict[str, Any], changes: list[Pair], into_data: bool) -> None:
    assert_agreed(written(event, changes, into_data=into_data))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(usual_events()), st.data())
def test_events_with_bytes_gone_wrong_are_decided_alike(event: dict[str, Any], data: st.DataObject) -> None:
    text = bytearray(json.dumps(event, ensure_ascii=data.draw(st.booleans())).encode())
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b"0", b".", b'"', b"e1"])
        )
    assert_agreed(bytes(text))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(usual_events()), st.binary(max_size=3))
def test_a_member_that_is_overridden_must_be_sound_all_the_same(event: dict[str, Any], noise: bytes) -> None:
    assert_agreed(b'{"data": "' + noise + b'", ' + json.dumps(event).encode()[1:])


@settings(max_examples=1000, deadline=None)
@given(
    NUMBERS | DECIMALS, st.sampled_from(["m³/h", "L/s", "m³", "°F", "kPa"]), st.sampled_from(["flow", "register", "temperature"])
)
def test_figures_are_decided_alike(number: str, unit: str, quantity: str) -> None:
    assert_agreed(replaced(meter(1, unit, quantity) | {"source": "/parking/x"}, [("value", number)]))


@pytest.mark.parametrize("path", VECTORS + EXAMPLES, ids=lambda path: path.name)
def test_published_vectors_and_examples_are_decided_alike(path: Path) -> None:
    found = json.loads(path.read_bytes())
    for one in found if isinstance(found, list) else [found]:
        for event in one if isinstance(one, list) else [one]:
            assert_agreed(json.dumps(event).encode())
            if isinstance(event, dict):
                assert_agreed(
                    json.dumps(
                        occupancy() | event | {"type": "parking.occupancy", "data": {"occupied": 1, "capacity": 2}}
                    ).encode()
                )


def test_texts_that_test_json_parsers_are_decided_alike() -> None:
    assert len(SUITE) > 300
    before, after = json.dumps(meter("HERE", "m³/h") | {"source": "/parking/x"}).encode().split(b'"HERE"')
    for path in SUITE:
        text = path.read_bytes()
        assert_agreed(text)
        assert_agreed(before + text + after)


@pytest.mark.parametrize(
    "event",
    [
        occupancy(subject=None),
        occupancy(subject=None, datacontenttype="text/json"),
        occupancy(type="utility.leak.reported", data={"medium": "gas", "severity": "\0"}),
        occupancy(data={"occupied": -1, "capacity": 5}),
        occupancy(data={"occupied": True, "capacity": 5}),
        occupancy(data={"occupied": 1, "capacity": 5, "location": {"type": "Point", "coordinates": [109, 36]}}),
        occupancy(extension="x"),
        occupancy(source="/water/7"),
        occupancy(area="999"),
        occupancy(type="parking.session.started", data={"session_id": "1"}),
        ["not an object"],
    ],
)
def test_what_is_wrong_or_not_usual_is_left_to_deciding_in_full(event: object) -> None:
    text = json.dumps(event).encode()
    assert decide_usual(text, AROUND) is None
    assert_agreed(text)


def test_an_item_of_too_many_bytes_is_not_usual() -> None:
    text = json.dumps(occupancy()).encode()
    assert decide_usual(text + b" " * (256 * 1024), AROUND) is None


def test_the_commonest_types_have_a_quick_form_and_those_with_personal_fields_none() -> None:
    quick = {name for name in EVENT_TYPES if read_usual(json.dumps(occupancy(type=name, data=_least(name))).encode()) is not None}
    assert {"parking.occupancy", "utility.reading", "device.heartbeat", "bin.level"} <= quick
    assert not any(EVENT_TYPES[name].personal for name in quick)


def _least(name: str) -> dict[str, Any]:
    known = {"occupied": 1, "capacity": 2, "medium": "gas", "quantity": "flow", "value": 1, "unit": "m³", "session_id": "s"}
    numbers = {"level_percent": 5, "percent": 5, "customers": 1}
    fields = EVENT_TYPES[name].data.model_fields
    return {field: (known | numbers).get(field, "x") for field in fields if field != "location" and fields[field].is_required()}


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants naive bounds
@example(datetime(2026, 11, 23, 0, 15, 2, tzinfo=UTC))
def test_time_on_the_topic_has_its_one_form(at: datetime) -> None:
    assert bytes(json_instant(at)) == f'"{format_time(at)}"'.encode()
