"""The fingerprint of an event's content: equal for retries, different for anything that says something else.

Called by ingest for every event. Covers type, time as an instant, subject, area as given and data as JSON values; not
extensions. Numbers count by value (1 = 1.0 = 1e0), the order of keys does not, true is neither 1 nor "1".

How it stays unambiguous: content becomes nested Python literals in one fixed form, written in ASCII. Equal bytes would
read back as equal literals, so different content has different bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from hashlib import blake2b
from typing import Any

FINGERPRINT_BYTES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)  # takes trailing zeros away and never rounds
_PLAIN = 10**15  # ints up to here are written as they are
_AS_THEY_ARE = (str, bool, type(None))
_PLAIN_CHARS = 15  # of a number of at most 14 digits and its point


def fingerprint(kind: str, time: datetime, subject: str | None, area: str | None, data: dict[str, Any]) -> bytes:
    """16 bytes of BLAKE2b over the content; `data` holds what a JSON reader makes, with Decimals in place of floats."""
    text = f"[{kind!a}, {(time - _EPOCH) // _MICROSECOND}, {subject!a}, {area!a}"
    for name in sorted(data):
        value = data[name]
        kind_of = type(value)
        if kind_of is not str and (kind_of is not int or not -_PLAIN < value < _PLAIN):  # the commonest are written as they are
            value = _canonical(value)
        text += f", {name!a}, {value!a}"
    return blake2b(f"{text}]".encode("ascii"), digest_size=FINGERPRINT_BYTES).digest()


def _object(data: dict[str, Any]) -> tuple[object, ...]:
    """An object is a tuple, an array a list: the two never look the same."""
    return tuple(part for name in sorted(data) for part in (name, _canonical(data[name])))


def _canonical(value: object) -> object:
    if isinstance(value, _AS_THEY_ARE):
        return value
    if isinstance(value, int):
        return value if -_PLAIN < value < _PLAIN else _number(Decimal(value))
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, list | tuple):
        return [_canonical(one) for one in value]
    raise TypeError(f"{type(value).__name__} is not a JSON value here")


def _number(value: Decimal) -> int | bytes:
    """An int where that is short, else the shortest decimal form as bytes, which no other value has."""
    text = str(value)
    if "." in text and "E" not in text:
        text = text.rstrip("0")
        if text[-1] != ".":
            return text.encode("ascii")
        if len(text) <= _PLAIN_CHARS:
            return int(text[:-1])
    if -_PLAIN < value < _PLAIN and value == (whole := int(value)):
        return whole
    return str(value.normalize(_EXACT)).encode("ascii")
