"""Times as text: RFC 3339 in, one fixed UTC form out. Called by envelope and topics. Pure; never asks a clock.

Resolution is one microsecond: further digits are cut off, never rounded into the next second.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

MAX_TIME_CHARS = 64
INSTANT_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
_DIGITS = "[0-9]{4}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
_RFC_3339 = re.compile(rf"{_DIGITS}(?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])", re.IGNORECASE).fullmatch


def parse_time(text: object) -> datetime | None:
    """The instant in UTC of an RFC 3339 text with seconds and offset; None for anything else, leap seconds included."""
    if type(text) is not str or len(text) > MAX_TIME_CHARS or _RFC_3339(text) is None:
        return None
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def format_time(at: datetime) -> str:
    """An aware time as `2026-11-23T00:15:02.000000Z`: always UTC, always six decimals, so that text sorts as time."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
