"""The envelope: what is taken and refused, and that the quick check and the model never disagree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from citybrain_schemas.envelope import CheckedEvent, Envelope, EventEnvelope, check_envelope, check_event
from citybrain_schemas.errors import ItemError, RejectCode, item_errors

EVENT: dict[str, Any] = {
    "specversion": "1.0", "id": "01JD", "source": "/parking/gateway-7", "type": "parking.occupancy",
    "time": "2026-11-23T08:15:02+08:00", "subject": "lot-0031", "area": "610602003001007",
    "data": {"occupied": 182, "capacity": 220},
}  # fmt: skip
MISSING = object()
ODD_TEXTS: tuple[str, ...] = (
    "",
    " ",
    "x",
    "停车场",
    "a\0b",
    "\ud800",
    "a\tb",
    "\x7f",
    "\x85",
    "\ufdd0",
    "\U0001ffff",
    "\u200b",
    "\uf8ff",
    "👩‍👩‍👧",
    "x" * 2000,
)
ODD_VALUES: tuple[object, ...] = (
    MISSING,
    None,
    0,
    1,
    True,
    2**31,
    -(2**31),
    1.5,
    [],
    {},
    {"occupied": 1, "capacity": 2},
    "1.0",
    *ODD_TEXTS,
)
ODD_TIMES = (
    "2026-11-23T00:15:02Z", "2026-11-23t00:15:02z", "2026-11-23T00:15:02.123456789-05:30", "2026-11-23T00:15:02",
    "2026-11-23 00:15:02Z", "2026-W48-1T00:15:02Z", "20261123T001502Z", "2026-11-23T00:15Z", "2026-02-30T00:00:00Z",
    "2026-11-23T24:00:00Z", "2026-06-30T23:59:60Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
    "2026-11-23T00:15:02+24:00", "2026-11-23T00:15:02+08", "２026-11-23T00:15:02Z", "2026-11-23T00:15:02Z\n",
)  # fmt: skip
NAMES = (*EVENT, "datacontenttype", "dataschema", "data_base64", "traceparent", "Bad", "my.extension", "n" * 65)
CONTENT_TYPES = ("application/json", "application/json; charset=utf-8", "APPLICATION/GEO+JSON", "text/plain", "xyz", "json")


def event(**changes: object) -> dict[str, Any]:
    return {name: value for name, value in (EVENT | changes).items() if value is not MISSING}


def refusal(item: object) -> ItemError:
    found = check_event(item)
    assert isinstance(found, list), found
    return found[0]


def envelope(item: object) -> Envelope:
    found = check_envelope(item)
    assert isinstance(found, Envelope), found
    return found


def by_the_model(item: dict[str, Any]) -> Envelope | list[ItemError]:
    try:
        one = EventEnvelope.model_validate(item)
    except ValidationError as error:
        return item_errors(error)
    kept = {name: value for name, value in (one.model_extra or {}).items() if value is not None}
    return Envelope(one.id, one.source, one.type, one.time, one.subject, one.area, one.data, kept or None)


def test_event_of_the_contract_is_taken() -> None:
    found = check_event(EVENT)
    assert isinstance(found, CheckedEvent)
    assert found.envelope.time == datetime(2026, 11, 23, 0, 15, 2, tzinfo=UTC)
    assert found.envelope.time.tzinfo is UTC
    assert (found.type.name, found.envelope.subject, found.envelope.extensions) == ("parking.occupancy", "lot-0031", None)


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "time", "data"])
@pytest.mark.parametrize("value", [MISSING, None, 25, {}, [], ""])
def test_required_attribute_that_is_wrong_is_named(name: str, value: object) -> None:
    if (name, value) == ("data", {}):
        return
    found = refusal(event(**{name: value}))
    assert (found.code, found.field) == (RejectCode.INVALID_FIELD, name)


@pytest.mark.parametrize("name", ["subject", "area", "dataschema", "datacontenttype"])
def test_optional_attribute_may_be_null_and_not_empty(name: str) -> None:
    envelope(event(**{name: None}))
    for value in ("", 7, "a\nb"):
        found = check_envelope(event(**{name: value}))
        assert isinstance(found, list)
        assert (found[0].code, found[0].field) == (RejectCode.INVALID_FIELD, name)


@pytest.mark.parametrize(
    ("name", "length"), [("id", 256), ("source", 1024), ("subject", 256), ("type", 128), ("area", 32), ("dataschema", 1024)]
)
def test_attributes_have_a_greatest_length(name: str, length: int) -> None:
    envelope(event(**{name: "长" * length}))
    found = check_envelope(event(**{name: "长" * (length + 1)}))
    assert isinstance(found, list)
    assert found[0].field == name


@pytest.mark.parametrize("time", ["lunchtime", "2026-11-23T08:15:02", "2026-11-23T08:15+08:00", "2026-11-23", 1795392902])
def test_time_without_offset_or_seconds_is_refused(time: object) -> None:
    assert refusal(event(time=time)).field == "time"


@pytest.mark.parametrize("item", [None, [], "text", 1, True])
def test_item_that_is_no_object_is_refused(item: object) -> None:
    assert (refusal(item).code, refusal(item).field) == (RejectCode.INVALID_FIELD, None)


def test_unknown_type_is_told_with_the_nearest_known_one() -> None:
    found = refusal(event(type="parking.ocupancy"))
    assert (found.code, found.field) == (RejectCode.UNKNOWN_TYPE, "type")
    assert "parking.occupancy" in found.detail
    assert refusal(event(type="levitation")).code == RejectCode.UNKNOWN_TYPE


def test_sensor_type_needs_a_subject_and_others_do_not() -> None:
    assert (refusal(event(subject=None)).code, refusal(event(subject=None)).field) == (RejectCode.INVALID_FIELD, "subject")
    assert isinstance(check_event(event(subject=None, type="street.cleaned", data={})), CheckedEvent)


def test_payload_is_checked_after_the_envelope() -> None:
    assert refusal(event(data={"occupied": "many", "capacity": 5})).field == "data.occupied"


def test_extensions_are_kept_as_posted_and_null_ones_are_absent() -> None:
    found = envelope(event(traceparent="00-ab", count=-(2**31), flag=True, nothing=None, empty=""))
    assert found.extensions == {"traceparent": "00-ab", "count": -(2**31), "flag": True, "empty": ""}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MyExtension", "x"),
        ("my.extension", "x"),
        ("n" * 65, "x"),
        ("n", 1.5),
        ("n", 2**31),
        ("n", {}),
        ("n", "\0"),
        ("n", "x" * 1025),
    ],
)
def test_wrong_extension_is_refused_by_its_name(name: str, value: object) -> None:
    found = check_envelope(event(**{name: value}))
    assert isinstance(found, list)
    assert (found[0].code, found[0].field) == (RejectCode.INVALID_FIELD, name)


def test_more_than_32_extensions_are_refused() -> None:
    envelope(event(**{f"n{n}": n for n in range(32)}))
    assert isinstance(check_envelope(event(**{f"n{n}": n for n in range(33)})), list)


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/json; charset=utf-8", "text/JSON", "application/geo+json"]
)
def test_json_media_types_are_taken(media_type: str) -> None:
    envelope(event(datacontenttype=media_type))


@pytest.mark.parametrize("media_type", ["text/plain", "xyz", "application/", "json", "application/xml", "application/jsonx"])
def test_other_media_types_are_refused(media_type: str) -> None:
    assert refusal(event(datacontenttype=media_type)).field == "datacontenttype"


def test_base64_data_is_refused_with_a_clear_word() -> None:
    found = refusal(event(data_base64="e30="))
    assert found.field == "data_base64"
    assert "not supported" in found.detail


def test_event_written_by_the_model_is_taken_back() -> None:
    made = EventEnvelope.model_validate(event(time=datetime(2026, 11, 23, 0, 15, 2, 5, tzinfo=UTC), traceparent="x"))
    again = EventEnvelope.model_validate_json(made.model_dump_json(exclude_none=True))
    assert again == made


def test_naive_time_is_refused_from_code_too() -> None:
    with pytest.raises(ValidationError):
        EventEnvelope.model_validate(event(time=datetime(2026, 11, 23)))  # noqa: DTZ001 - what is tested


def test_quick_check_agrees_with_the_model_on_every_single_change() -> None:
    values = (*ODD_VALUES, *ODD_TIMES, *CONTENT_TYPES)
    for name in NAMES:
        for value in values:
            item = event(**{name: value})
            assert check_envelope(item) == by_the_model(item), (name, value)


changes = st.dictionaries(
    st.sampled_from(NAMES) | st.text(max_size=4),
    st.sampled_from((*ODD_VALUES, *ODD_TIMES, *CONTENT_TYPES)) | st.text(max_size=300) | st.integers(),
    max_size=4,
)


@given(changes)
def test_quick_check_agrees_with_the_model_on_any_changes(changed: dict[str, object]) -> None:
    item = event(**changed)
    assert check_envelope(item) == by_the_model(item)
