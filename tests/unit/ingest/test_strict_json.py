"""JSON is read strictly: what cannot be held exactly is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from citybrain.ingest.strict_json import MAX_DEPTH, MAX_ITEM_BYTES, NotJson, cut_array, decode_item
from citybrain_schemas.errors import ItemError, RejectCode

SUITE = sorted((Path(__file__).parents[2] / "data" / "json_test_suite" / "test_parsing").glob("*.json"))


def _accepts(text: bytes) -> bool:
    try:
        found = decode_item(text)
    except NotJson:
        return False
    return not isinstance(found, ItemError)


@pytest.mark.parametrize("path", [path for path in SUITE if path.name.startswith("n_")], ids=lambda path: path.name)
def test_what_is_not_json_is_refused_whole_and_in_an_array(path: Path) -> None:
    assert not _accepts(path.read_bytes())
    try:
        items = cut_array(b"[" + path.read_bytes() + b"]")
    except NotJson:
        return
    assert not all(_accepts(bytes(item)) for item in items) or not items


@pytest.mark.parametrize("path", [path for path in SUITE if path.name.startswith("y_")], ids=lambda path: path.name)
def test_what_is_json_is_read(path: Path) -> None:
    assert _accepts(path.read_bytes())


@pytest.mark.parametrize("path", [path for path in SUITE if path.name.startswith("i_")], ids=lambda path: path.name)
def test_what_is_doubtful_is_answered_either_way(path: Path) -> None:
    _accepts(path.read_bytes())


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"NaN", b"-Infinity", b"\xef\xbb\xbf{}", b'"\\ud800"', b'"a\\udc00b"', b'"\xed\xa0\x80"', b"{}x"],
)
def test_nan_byte_order_marks_and_lone_surrogates_are_not_json(text: bytes) -> None:
    with pytest.raises(NotJson):
        decode_item(text)


def test_decimals_are_exact_and_big_integers_are_whole() -> None:
    assert decode_item(b"0.1") == Decimal("0.1")
    assert decode_item(b"123456789012345678901234567890") == 123456789012345678901234567890
    assert decode_item(b"1e-300") == Decimal("1e-300")


@pytest.mark.parametrize("text", [b"1e400", b"-1e400", b"1e-400", b"1e99999999999999999999", b"0." + b"1" * 500, b"1e-999999999"])
def test_a_number_that_nothing_can_hold_is_beyond_every_range(text: bytes) -> None:
    assert decode_item(text) == Decimal("Infinity")


@pytest.mark.parametrize("text", [b"0e9999", b"0.0", b"-0.0"])
def test_zero_stays_zero(text: bytes) -> None:
    assert decode_item(text) == 0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"1" * 5000, RejectCode.OUT_OF_RANGE),
        (b'"' + b"x" * MAX_ITEM_BYTES + b'"', RejectCode.TOO_LARGE),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), RejectCode.INVALID_FIELD),
        (b"[" * 10_000 + b"]" * 10_000, RejectCode.INVALID_FIELD),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, RejectCode.INVALID_FIELD),
        (b"[" * 10_000, RejectCode.INVALID_FIELD),
    ],
)
def test_what_is_too_long_or_too_deep_is_refused_with_its_code(text: bytes, code: RejectCode) -> None:
    found = decode_item(text)
    assert isinstance(found, ItemError)
    assert found.code is code


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert decode_item(b"[" + b"[]," * 1000 + b"[]]") == [[] for _ in range(1001)]


def test_depth_is_allowed_up_to_the_limit() -> None:
    assert not isinstance(decode_item(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH), ItemError)


def test_an_array_too_deep_to_cut_is_refused() -> None:
    with pytest.raises(NotJson):
        cut_array(b"[" * 100_000)
