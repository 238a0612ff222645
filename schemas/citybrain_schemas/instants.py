"""Times as text: RFC 3339 in, one fixed UTC form out. Called by envelope and topics. Pure; never asks a clock.

Resolution is one microsecond: further digits are cut off, never rounded into the next second.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

MAX_TIME_CHARS = 64
INSTANT_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
_OFFSET_CHARS = len("+00:00")
_DIGITS = "[0-9]{4}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
_RFC_3339 = re.compile(rf"{_DIGITS}(?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])", re.IGNORECASE).fullmatch
_DIGITS_AS_0 = bytes.maketrans(b"123456789", b"000000000")
_USUAL = frozenset(f"0000-00-00T00:00:00{rest}Z".encode() for rest in ("", ".000", ".000000"))
_USUAL_OFFSET = frozenset(shape[:-1] + sign + b"00:00" for shape in _USUAL for sign in (b"+", b"-"))


def parse_time(text: object) -> datetime | None:
    """The instant in UTC of an RFC 3339 text with seconds and offset; None for anything else, leap seconds included."""
    if type(text) is not str or len(text) > MAX_TIME_CHARS:
        return None
    try:
        shape = text.encode().translate(_DIGITS_AS_0)
        if shape in _USUAL or (shape in _USUAL_OFFSET and text[-2:] < "60"):  # told without the regex, in a third of the time
            return datetime.fromisoformat(text).astimezone(UTC)
        return datetime.fromisoformat(text.upper()).astimezone(UTC) if _RFC_3339(text) else None
    except (ValueError, OverflowError):
        return None


def format_time(at: datetime) -> str:
    """An aware time as `2026-11-23T00:15:02.000000Z`: always UTC, always six decimals, so that text sorts as time."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:-_OFFSET_CHARS] + "Z"
