"""Where windows begin and end. Called by series and dump. Pure: no clock, no I/O.

Minutes and hours are whole ones in UTC, days are the city's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from citybrain.city.local_time import day_start, next_day_start

StepName = Literal["1m", "1h", "1d"]
LENGTHS = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


MOST_FITTING = 1500  # more than there are pixels in a chart


def fitting(begin: datetime, end: datetime) -> StepName:
    """The finest step that cuts a stretch of time into no more windows than a chart can show; days, however long it is."""
    names: tuple[StepName, ...] = ("1m", "1h")
    return next((name for name in names if (end - begin) / LENGTHS[name] <= MOST_FITTING), "1d")


def floor_hour(at: datetime) -> datetime:
    """The whole hour in UTC that holds an instant."""
    return Step("1h", ZoneInfo("UTC")).floor(at)


@dataclass(frozen=True, slots=True)
class Step:
    """Windows of one length in one zone. All instants are UTC."""

    name: StepName
    zone: ZoneInfo

    def floor(self, at: datetime) -> datetime:
        """The start of the window that holds the instant."""
        if self.name == "1d":
            return day_start(at, self.zone)
        return at - (at - _EPOCH) % LENGTHS[self.name]

    def after(self, start: datetime) -> datetime:
        """The end of the window that starts here: where the next one starts."""
        return next_day_start(start, self.zone) if self.name == "1d" else start + LENGTHS[self.name]

    def ceiling(self, at: datetime) -> datetime:
        """The first start at or after the instant."""
        start = self.floor(at)
        return at if start == at else self.after(start)

    def starts(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """The starts in [begin, end)."""
        start = self.ceiling(begin)
        while start < end:
            yield start
            start = self.after(start)
