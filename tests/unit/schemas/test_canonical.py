"""The fingerprint: the same for what says the same, different for everything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citybrain_schemas.canonical import fingerprint

AT = datetime(2026, 11, 23, 0, 15, 2, tzinfo=UTC)
NUMBERS = st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.sampled_from([10**400, Decimal("1E+400")])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
DATA = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)
FEW: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, True, 1, Decimal("1.0"), "1", "", 10**15, Decimal("1E+15")]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)


def of(data: dict[str, Any], **others: Any) -> bytes:
    content: dict[str, Any] = {"kind": "parking.occupancy", "time": AT, "subject": "lot-1", "area": "61", "data": data}
    return fingerprint(**(content | others))


def same(one: object, other: object) -> bool:
    """Equality of JSON values, written down independently of the code under test."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one == other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return type(one) is type(other) and one == other


def rewritten(value: object) -> object:
    """The same value in another spelling: decimals for ints, zeros at the end, keys the other way round."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, Decimal):
        sign, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)
        return Decimal((sign, (*digits, 0), exponent - 1))
    if isinstance(value, list):
        return [rewritten(one) for one in value]
    assert isinstance(value, dict)
    return {name: rewritten(one) for name, one in reversed(value.items())}


def test_fingerprint_is_fixed_for_ever() -> None:
    assert of({"occupied": 182, "capacity": 220}).hex() == "01d7fc0c8814176eba0ceeac2be38042"
    assert (
        of({"b": [None, True, Decimal("1.50"), "停"], "a": {"c": 10**20}}, subject=None, area=None).hex()
        == "ed491288846112c214866cd0386427d3"
    )


@given(DATA)
def test_another_spelling_of_the_same_values_has_the_same_fingerprint(data: dict[str, Any]) -> None:
    again = rewritten(data)
    assert isinstance(again, dict)
    assert of(data) == of(again)


@settings(max_examples=500)
@given(st.fixed_dictionaries({"v": FEW}), st.fixed_dictionaries({"v": FEW}))
def test_fingerprints_are_equal_exactly_when_the_values_are(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (of(one) == of(other)) == same(one, other)


VALUES_APART = [
    True, 1, "1", "true", None, "null", False, 0, "", [], [[]], {}, [{}], "[]", "{}", [1], [1, 1], ["1"], {"1": 1}, {"a": 1},
    ["a", 1], [["a", 1]], Decimal("1.5"), "1.5", "b'1.5'", [15, -1], Decimal("15E-2"), 15, -15, 10**15, 10**15 + 1, "1E+15",
    10**400, 10**401, "'", '"', "\\", "\\x00", "\x01", "é", "e\u0301", "\U0001f600", "\\U0001f600",
]  # fmt: skip


def test_values_that_look_alike_stay_apart() -> None:
    assert len({of({"v": value}) for value in VALUES_APART}) == len(VALUES_APART)


def test_numbers_count_by_value() -> None:
    for group in ([1, Decimal("1.0"), Decimal("1e0"), Decimal("0.1E1")], [0, Decimal("-0.0"), Decimal("0E+9")]):
        assert len({of({"v": value}) for value in group}) == 1
    assert of({"v": 10**400}) == of({"v": Decimal("1E+400")}) == of({"v": Decimal("10E+399")})
    assert of({"v": 10**15}) == of({"v": Decimal("1E+15")}) == of({"v": Decimal("1000000000000000.0")})


def test_time_counts_as_an_instant_to_the_microsecond() -> None:
    assert of({}, time=AT.astimezone(timezone(timedelta(hours=8)))) == of({})
    assert of({}, time=AT + timedelta(microseconds=1)) != of({})


def test_each_attribute_counts_and_absent_is_not_empty() -> None:
    changes: list[dict[str, Any]] = [
        {}, {"kind": "x"}, {"subject": None}, {"subject": ""}, {"subject": "None"}, {"area": None}, {"area": "lot-1"},
        {"subject": "61", "area": "lot-1"}, {"subject": "lot-1', '61"},
    ]  # fmt: skip
    assert len({of({}, **change) for change in changes}) == len(changes)


def test_data_cannot_be_shifted_into_the_attributes() -> None:
    assert of({"x": "y"}, area="61") != of({}, area="61', 'x', 'y")


def test_order_of_keys_is_ignored_at_every_depth() -> None:
    one, other = '{"a": {"x": 1, "y": [{"p": 1, "q": 2}]}, "b": 2}', '{"b": 2, "a": {"y": [{"q": 2, "p": 1}], "x": 1}}'
    assert of(json.loads(one)) == of(json.loads(other))


@pytest.mark.parametrize("value", [1.5, b"x", {1, 2}])
def test_what_no_json_reader_makes_is_a_mistake_of_the_caller(value: object) -> None:
    with pytest.raises(TypeError):
        of({"v": value})
