"""Own the small words of profile files: names, durations, dates, zones, numbers. Called by the readers of this package
with text as it is written in the file; each raises ValueError, whose text is the problem. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from citybrain.city.local_time import start_of_date
from citybrain.city.mistakes import quote, unknown
from citybrain.city.validity import ALWAYS, Validity

LONGEST_CODE = 32
LONGEST_DAYS = 36_500
LONGEST_TEXT = 256
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CODE = re.compile(r"[A-Za-z0-9._-]+")
_WHOLE = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Name:
    """What people call it, in English and in Chinese."""

    en: str
    zh: str


def read_text(text: str) -> str:
    """A text that is not empty, fits into 256 characters and holds no control characters."""
    if not text.strip():
        raise ValueError("is empty")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"is longer than {LONGEST_TEXT} characters")
    if not text.isprintable():
        raise ValueError(f"{quote(text)} holds a character that cannot be printed")
    return text


def read_code(text: str) -> str:
    """A code as areas, classes and departments have: letters, digits, `.`, `_`, `-`, at most 32."""
    if len(text) > LONGEST_CODE or not _CODE.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a code of 1 to {LONGEST_CODE} letters, digits, '.', '_' or '-'")
    return text


def read_duration(text: str) -> timedelta:
    """`30s`, `15m`, `1h` or `90d`, a day being 24 hours."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"{quote(text)} is not a duration like 30s, 15m, 1h or 90d")
    seconds = int(found[1]) * UNIT_SECONDS[found[2]]
    if seconds > LONGEST_DAYS * UNIT_SECONDS["d"]:
        raise ValueError(f"{quote(text)} is longer than {LONGEST_DAYS} days")
    return timedelta(seconds=seconds)


def read_period(text: str) -> timedelta:
    """A duration above zero."""
    length = read_duration(text)
    if not length:
        raise ValueError(f"{quote(text)} has to be longer than zero")
    return length


def read_whole(text: str) -> int:
    """A whole number, zero included."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a whole number")
    if int(text) < 0:
        raise ValueError(f"{quote(text)} is below zero")
    return int(text)


def read_days(text: str) -> int:
    """A number of days from 1 to 36,500."""
    days = read_whole(text)
    if not 1 <= days <= LONGEST_DAYS:
        raise ValueError(f"{text} days are not between 1 and {LONGEST_DAYS}")
    return days


def read_longitude(text: str) -> float:
    """A number between −180 and 180 degrees."""
    return _degrees(text, 180)


def read_latitude(text: str) -> float:
    """A number between −90 and 90 degrees."""
    return _degrees(text, 90)


def _degrees(text: str, limit: int) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{quote(text)} is not a number") from None
    if not -limit <= value <= limit:
        raise ValueError(f"{quote(text)} is not between -{limit} and {limit} degrees")
    return value


def read_date(text: str) -> date:
    """`2026-11-23`."""
    if not _DATE.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a date like 2026-11-23")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{quote(text)} is a date that no calendar has") from None


def read_midnight(text: str, zone: ZoneInfo) -> datetime:
    """The first instant, in UTC, of a local date from 1900 to 2999."""
    day = read_date(text)
    if not 1900 <= day.year <= 2999:
        raise ValueError(f"{quote(text)} is not between 1900 and 2999")
    return start_of_date(day, zone)


def read_validity(valid_from: datetime | None, valid_to: datetime | None) -> Validity:
    """The stretch between two instants, the first of them earlier."""
    if valid_from is None and valid_to is None:
        return ALWAYS
    if valid_from is not None and valid_to is not None and valid_from >= valid_to:
        raise ValueError("has to be later than valid_from")
    return Validity(valid_from, valid_to)


def read_zone(text: str) -> ZoneInfo:
    """A time zone by its IANA name."""
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(unknown("time zone", text, available_timezones())) from None
