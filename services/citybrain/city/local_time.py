"""Own where a city's days begin. Called by whoever turns a date of a profile into an instant or an instant into its day.
Pure: no clock, no I/O.

Day D is the stretch from the first instant that bears the local date D to the first instant of a later date, so days
follow one another without gap or overlap: 23 to 25 h long, a skipped date (Samoa, 2011-12-30) having no day at all. Where
a clock was set back across midnight (St. John's, at 00:01 until 2011) the minutes of the old date that come again belong
to the new day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

ONE_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=65_536)
def start_of_date(day: date, zone: ZoneInfo) -> datetime:
    """The first instant, in UTC, whose local date is `day` (or later, when the date was skipped)."""
    midnight = datetime.combine(day, time.min, tzinfo=zone)
    first, second = midnight.astimezone(UTC), midnight.replace(fold=1).astimezone(UTC)
    return first if first <= second else _end_of_gap(second, first, zone)


def day_start(at: datetime, zone: ZoneInfo) -> datetime:
    """Where the city's day that holds the instant begins, in UTC."""
    today = at.astimezone(zone).date()
    tomorrow = start_of_date(today + ONE_DAY, zone)
    return tomorrow if tomorrow <= at else start_of_date(today, zone)


def next_day_start(at: datetime, zone: ZoneInfo) -> datetime:
    """The first beginning of a day after the instant, in UTC: the end of the day that holds it."""
    day = at.astimezone(zone).date() + ONE_DAY
    while (start := start_of_date(day, zone)) <= at:
        day += ONE_DAY
    return start


def day_bounds(first: datetime, last: datetime, zone: ZoneInfo) -> list[datetime]:
    """The beginnings, in UTC, of all days that hold instants from `first` to `last`, and the end of the last of them."""
    bounds = [day_start(first, zone)]
    while bounds[-1] <= last:
        bounds.append(next_day_start(bounds[-1], zone))
    return bounds


def day_starts_us(instants_us: Sequence[int] | NDArray[np.int64], zone: ZoneInfo) -> NDArray[np.int64]:
    """`day_start` over a column of instants; all of them microseconds since 1970 in UTC."""
    column = np.asarray(instants_us, dtype=np.int64)
    if not column.size:
        return column
    bounds = day_bounds(_instant(int(column.min())), _instant(int(column.max())), zone)
    bounds_us = np.array([(bound - _EPOCH) // _MICROSECOND for bound in bounds], dtype=np.int64)
    starts: NDArray[np.int64] = bounds_us[np.searchsorted(bounds_us, column, side="right") - 1]
    return starts


def _instant(since_epoch_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=since_epoch_us)


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant between the two at which the clock was put forward, to the second."""
    old = before.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)
