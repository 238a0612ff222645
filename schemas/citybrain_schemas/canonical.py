"""The fingerprint of an event's content: equal for retries, different for anything that says something else.

Called by ingest for every event. Covers type, time as an instant, subject, area as given and data as JSON values; not
extensions. Numbers count by value (1 = 1.0 = 1e0), the order of keys does not, true is neither 1 nor "1".

How it stays unambiguous: content becomes nested Python literals in one fixed form, written in ASCII. Equal bytes would
read back as equal literals, so different content has different bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any

FINGERPRINT_BYTES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLAIN = 10**15  # ints up to here are written as they are


def fingerprint(kind: str, time: datetime, subject: str | None, area: str | None, data: dict[str, Any]) -> bytes:
    """16 bytes of BLAKE2b over the content; `data` holds what a JSON reader makes, with Decimals in place of floats."""
    content = (kind, (time - _EPOCH) // _MICROSECOND, subject, area, _fields(data))
    return blake2b(ascii(content).encode("ascii"), digest_size=FINGERPRINT_BYTES).digest()


def _fields(data: dict[str, Any]) -> list[tuple[str, object]]:
    """An object: sorted pairs. An array holds no pairs, so the two never look the same."""
    for value in data.values():
        kind = type(value)
        if not (kind is str or (kind is int and -_PLAIN < value < _PLAIN)):
            return sorted((name, _canonical(one)) for name, one in data.items())
    return sorted(data.items())


def _canonical(value: object) -> object:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if -_PLAIN < value < _PLAIN else _number(Decimal(value))
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, dict):
        return _fields(value)
    if isinstance(value, list | tuple):
        return [_canonical(one) for one in value]
    raise TypeError(f"{type(value).__name__} is not a JSON value here")


def _number(value: Decimal) -> int | bytes:
    """An int where that is short, else digits and exponent as bytes, which are nothing else's form."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError("NaN and infinity are not JSON values")
    text = "".join(map(str, digits))
    coefficient = text.strip("0")
    if not coefficient:
        return 0
    exponent += len(text) - len(text.rstrip("0"))
    if exponent >= 0 and len(coefficient) + exponent <= 15:
        return int(value)
    return f"{'-' if sign else ''}{coefficient}e{exponent}".encode("ascii")
