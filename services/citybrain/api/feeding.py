"""Which assets feed a metric of an area or asset, and how many readings are due. Called by series. Pure.

A roster line counts for a window when it is valid at the window's start and its area is, then, the one asked for or below.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from citybrain.api.figures import plain
from citybrain.api.hierarchy import Hierarchy
from citybrain.api.intervals import Interval, intersect
from citybrain.city import City, RosterLine
from citybrain.city.validity import EARLIEST, LATEST
from citybrain_schemas.events import EVENT_TYPES

ALWAYS = [(EARLIEST, LATEST)]


@dataclass(frozen=True, slots=True)
class Feeder:
    """A roster line that says how often, and the times at which it counts."""

    line: RosterLine
    active: tuple[Interval, ...]


def candidates(city: City, metric: str, codes: Collection[str], subject: str | None) -> list[RosterLine]:
    """The lines with `every` whose type can feed the metric, of an asset or of all assets in areas."""
    types = {name for name, one in EVENT_TYPES.items() if metric in one.metrics}
    lines = city.roster.lines if subject is None else city.roster.lines_of(subject)
    return [
        line
        for line in lines
        if line.every and line.type in types and line.area in codes and (not line.metrics or metric in line.metrics)
    ]


def feeders(lines: Iterable[RosterLine], reported: Collection[str], hierarchy: Hierarchy, area: str) -> list[Feeder]:
    """The lines that feed: those that name their metrics, and those of assets that have ever reported this one."""
    below: dict[str, list[Interval]] = {}
    found: list[Feeder] = []
    for line in lines:
        if not line.metrics and line.subject not in reported:
            continue
        if line.area not in below:
            below[line.area] = hierarchy.times_below(line.area, area)
        valid = (line.validity.begin, line.validity.end)
        found.append(Feeder(line, (valid,) if below[line.area] == ALWAYS else tuple(intersect([valid], below[line.area]))))
    return found


class Expected:
    """How many readings are due in a window: its length / `every`, added up over assets that are due at least twice in it."""

    def __init__(self, feeding: Iterable[Feeder]) -> None:
        begins: defaultdict[timedelta, list[datetime]] = defaultdict(list)
        ends: defaultdict[timedelta, list[datetime]] = defaultdict(list)
        for feeder in feeding:
            if feeder.line.every is None:
                continue
            for begin, end in feeder.active:
                begins[feeder.line.every].append(begin)
                ends[feeder.line.every].append(end)
        self._edges = [(every, sorted(begins[every]), sorted(ends[every])) for every in sorted(begins)]
        self._changes = sorted({at for _, begin, end in self._edges for at in (*begin, *end)})
        self._texts: dict[tuple[timedelta, int], str] = {}

    def text(self, start: datetime, end: datetime) -> str:
        """A JSON number, or null where nothing is due twice."""
        key = (end - start, bisect_right(self._changes, start))
        if key not in self._texts:
            counts = [bisect_right(begins, start) - bisect_right(ends, start) for _, begins, ends in self._edges]
            self._texts[key] = self._text(end - start, counts)
        return self._texts[key]

    def _text(self, length: timedelta, counts: Sequence[int]) -> str:
        due = [
            Fraction(count * (length // timedelta(microseconds=1)), every // timedelta(microseconds=1))
            for count, (every, _, _) in zip(counts, self._edges, strict=True)
            if count and length >= 2 * every
        ]
        if not due:
            return "null"
        total = sum(due, Fraction(0))
        micros = total * 1_000_000
        if micros.denominator == 1:
            return plain(micros.numerator)
        return f"{Decimal(total.numerator) / total.denominator:f}"
