"""Turn local clock times into instants, through the hours that come twice or never. Called by rows. Pure: no clock, no I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Repeated = Literal["second_is_later", "first", "reject"]
Missing = Literal["shift_forward", "reject"]


class NoSuchInstant(ValueError):
    """A local time that the map refuses: `code` is `repeated_time` or `missing_time`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class LocalClock:
    """Reads the local times of one zone.

    A local time that stands twice (the clock went back) is read by `repeated`: `first` takes the earlier instant always,
    `reject` refuses it, `second_is_later` takes the later instant when the series has already reached the earlier one. The
    last needs each series in time order; a jump back by more than the repeated stretch is a new beginning, not a repeat.
    Readings farther apart than the clock went back cannot be told apart by order; theirs is the earlier instant.
    A local time that never was (the clock went forward) is moved on by the gap (02:30 is 03:30) or refused.
    """

    def __init__(self, zone: ZoneInfo, repeated: Repeated = "first", missing: Missing = "shift_forward") -> None:
        self._zone, self._repeated, self._missing = zone, repeated, missing
        self._reached: dict[str, datetime] = {}

    def instant(self, local: datetime, series: str = "") -> datetime:
        """The UTC instant of a local time in a series (one meter, one lot). An aware time is taken as it is."""
        if local.tzinfo is not None:
            return local.astimezone(UTC)
        early = local.replace(tzinfo=self._zone, fold=0)
        late = early.replace(fold=1)
        difference = (early.utcoffset() or timedelta()) - (late.utcoffset() or timedelta())
        at = early.astimezone(UTC)
        if difference > timedelta():
            at = self._of_two(at, difference, local, series)
        elif difference and self._missing == "reject":
            raise NoSuchInstant("missing_time", f"{local} did not exist in {self._zone.key}")
        if self._repeated == "second_is_later":
            self._reached[series] = at
        return at

    def _of_two(self, first: datetime, length: timedelta, local: datetime, series: str) -> datetime:
        match self._repeated:
            case "reject":
                raise NoSuchInstant("repeated_time", f"{local} came twice in {self._zone.key}")
            case "first":
                return first
            case "second_is_later":
                reached = self._reached.get(series)
                again = reached is not None and first <= reached < first + 2 * length
                return first + length if again else first
