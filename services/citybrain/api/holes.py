"""Silence: stretches in which an asset that is due sent nothing. Called by series and assets. Pure: no clock, no I/O.

Between two successive readings, before the first one and after the last one there is a silence. A silence is a hole where
it lies in a stretch in which the roster says that the asset is due, and lasts longer than 1.5 times `every` there. Our
clock is the minimum watermark: it stands still when we do, so our own downtime is nobody's silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from citybrain.api.intervals import Interval
from citybrain.api.steps import Step
from citybrain.city import RosterLine

LONGEST_PAUSE = 1.5


@dataclass(frozen=True, slots=True)
class Due:
    """A stretch in which an asset is to send events of a type; None is open."""

    subject: str
    type: str
    every: timedelta
    begin: datetime | None
    end: datetime | None

    @property
    def longest(self) -> timedelta:
        """A longer pause is a hole."""
        return self.every * LONGEST_PAUSE


class Silence(NamedTuple):
    """No reading between two successive ones; None before the first and after the last."""

    before: datetime | None
    after: datetime | None


class Hole(NamedTuple):
    """A stretch of silence; `end` is None while it lasts. `before` and `after` are the readings around it."""

    start: datetime
    end: datetime | None
    before: datetime | None
    after: datetime | None


def dues(lines: Iterable[RosterLine]) -> list[Due]:
    """The stretches of roster lines that say how often; adjoining ones of one asset with the same `every` are one."""
    found: list[Due] = []
    for line in sorted(lines, key=lambda line: (line.subject, line.type, line.validity.begin)):
        if line.every is None:
            continue
        fresh = Due(line.subject, line.type, line.every, line.valid_from, line.valid_to)
        last = found[-1] if found else None
        if last is not None and last.end is not None and replace(last, begin=last.end, end=fresh.end) == fresh:
            found[-1] = replace(last, end=fresh.end)
        else:
            found.append(fresh)
    return found


def is_silent(lines: Iterable[RosterLine], kind: str, seen: datetime | None, watermark: datetime | None) -> bool:
    """Whether an asset, of which these are the roster's lines, is in a hole that lasts. `seen`: its last event of the type."""
    since = [Silence(seen, None)]
    return any(hole.end is None for due in dues(lines) if due.type == kind for hole in holes(since, due, watermark))


def holes(silences: Iterable[Silence], due: Due, watermark: datetime | None) -> list[Hole]:
    """The holes of one stretch, earliest first. Silences come in order."""
    found = (_hole(silence, due, watermark) for silence in silences)
    return [hole for hole in found if hole is not None]


def _hole(silence: Silence, due: Due, watermark: datetime | None) -> Hole | None:
    starts = [at for at in (silence.before, due.begin) if at is not None]
    ends = [at for at in (silence.after, due.end) if at is not None]
    if not starts:
        return None  # nobody said since when it should have spoken
    start, end = max(starts), min(ends, default=None)
    if end is None or (silence.after is None and (watermark is None or watermark < end)):
        if watermark is None or watermark - start <= due.longest:
            return None
        return Hole(start, None, silence.before, None)
    return Hole(start, end, silence.before, silence.after) if end - start > due.longest else None


def window_starts(hole: Hole, step: Step, watermark: datetime | None) -> Interval | None:
    """The starts of the windows that lie wholly in a hole, as an interval of such starts; None when there are none.

    A reading at a window's very start is in the window, one at its end is not.
    """
    end = hole.end or watermark
    begin = step.ceiling(hole.start)
    if begin == hole.before:
        begin = step.after(begin)
    return (begin, step.floor(end)) if end is not None and begin < step.floor(end) else None
