"""When a record is posted and which time it then carries. Called by run. Pure: `now` is an argument.

no shift            times stay; `speed` N posts N seconds of the file's time in one second, without it as fast as it goes
shift of a length   times move by it, ids get a suffix made of it: the same shift posts the same events, another one others
shift now           the first event of the file is now, and the file's clock runs `speed` times as fast (1 when not given):
                    posted time = now + (time - first) / speed. An event is posted at the time it carries, so none lies in
                    the future. Ids get a suffix made of that now, so that each run is a set of events of its own
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from citybrain.replay.errors import ReplayError
from citybrain.replay.rows import Record, utc_text

Shift = timedelta | Literal["now"] | None
_LENGTH = re.compile(r"([+-]?)(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=36_525)
_encoder = msgspec.json.Encoder(decimal_format="number")


def parse_shift(text: str) -> Shift:
    """`now`, or a length such as `90d`, `-6h`, `30m`, `45s`, `2w`."""
    if text == "now":
        return "now"
    found = _LENGTH.fullmatch(text)
    if not found:
        raise ReplayError(f"--shift {text!r} is neither `now` nor a length like 90d, -6h, 30m")
    sign, number, unit = found.groups()
    length = timedelta(**{_UNITS[unit]: int(number)})
    if length > _LONGEST:
        raise ReplayError(f"--shift {text!r} is longer than a hundred years")
    return -length if sign == "-" else length


@dataclass(frozen=True, slots=True)
class Anchor:
    """What ties a file's clock to ours: the file's first event, and the moment it stands for."""

    first: datetime
    now: datetime


class Timing:
    """The clock of one run. `anchor` is given when a run goes on that was begun earlier."""

    def __init__(self, shift: Shift, speed: float | None, anchor: Anchor | None = None) -> None:
        if speed is not None and not 0.001 <= speed <= 1e9:
            raise ReplayError(f"--speed {speed:g} is not between 0.001 and 1000000000")
        self._shift = shift
        self._speed = 1.0 if speed is None and shift == "now" else speed
        self.anchor = anchor

    def due(self, record: Record, now: datetime) -> datetime:
        """When to post the record; the first one with a time sets the anchor. Never before `now` without a speed."""
        if record.time is None or self._speed is None:
            return now
        if self.anchor is None:
            self.anchor = Anchor(record.time, now)
        return self._at_speed(record, self.anchor, self._speed)

    def body(self, record: Record) -> bytes:
        """The event as JSON, with its time and id as they are to be posted."""
        if record.time is None or self._shift is None:
            return record.event if isinstance(record.event, bytes) else _encoder.encode(record.event)
        event: dict[str, Any] = (
            record.event if isinstance(record.event, dict) else msgspec.json.decode(record.event, type=dict[str, msgspec.Raw])
        )
        moved, suffix = self._moved(record, record.time, self._shift)
        identity = _text(event.get("id"))
        changed: dict[str, Any] = {"time": utc_text(moved)} | ({} if identity is None else {"id": f"{identity}~{suffix}"})
        return _encoder.encode({**event, **changed})

    def _moved(self, record: Record, time: datetime, shift: timedelta | Literal["now"]) -> tuple[datetime, str]:
        """The time that a record is posted with, and what tells its id from that of the unshifted one."""
        if isinstance(shift, timedelta):
            try:
                return time + shift, f"{shift.total_seconds():+.0f}s"
            except OverflowError:
                raise ReplayError(f"line {record.line}: its time leaves the calendar when shifted") from None
        if self.anchor is None or self._speed is None:
            raise AssertionError("due() comes before body()")
        return self._at_speed(record, self.anchor, self._speed), f"{self.anchor.now:%Y%m%dT%H%M%S%f}"

    def _at_speed(self, record: Record, anchor: Anchor, speed: float) -> datetime:
        at = record.time or anchor.first
        try:
            return anchor.now + (at - anchor.first) / speed
        except OverflowError:
            raise ReplayError(f"line {record.line}: its time leaves the calendar at this speed") from None


def _text(value: object) -> str | None:
    """The text that an event's field holds, parsed or not yet; None when it is no text."""
    if isinstance(value, msgspec.Raw):
        value = msgspec.json.decode(value)
    return value if isinstance(value, str) else None
