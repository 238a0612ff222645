"""Which areas lie below which, at an instant and ever. Called by series, events, assets and dump. Pure.

The hierarchy is constant between successive beginnings of areas' versions; answers are kept for each such stretch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from datetime import datetime
from functools import lru_cache

from citybrain.api.intervals import Interval, union
from citybrain.city import Areas
from citybrain.city.validity import EARLIEST, LATEST


class Hierarchy:
    """Of one profile's areas; made by `hierarchy_of`."""

    def __init__(self, areas: Areas) -> None:
        self._areas = areas
        parents: defaultdict[str, set[str]] = defaultdict(set)
        edges: set[datetime] = set()
        for one in areas.versions:
            if one.code in parents:
                edges.add(one.validity.begin)
            parents[one.code] |= {one.parent} if one.parent is not None else set()
        self._parents = dict(parents)
        self._begins = [EARLIEST, *sorted(edges - {EARLIEST})]
        self._below: dict[tuple[int, str], frozenset[str]] = {}

    def parents(self, code: str) -> set[str]:
        """Every area that ever was one level above."""
        return self._parents[code]

    def below(self, code: str, at: datetime) -> frozenset[str]:
        """The code and all areas below it at the instant."""
        return self._in_stretch(bisect_right(self._begins, at) - 1, code)

    def ever_below(self, code: str) -> frozenset[str]:
        """The code and all areas that ever were below it."""
        return frozenset().union(*(self._in_stretch(n, code) for n in range(len(self._begins))))

    def times_below(self, code: str, above: str) -> list[Interval]:
        """When an area is another one or lies below it."""
        ends = [*self._begins[1:], LATEST]
        return union((self._begins[n], ends[n]) for n in range(len(ends)) if code in self._in_stretch(n, above))

    def stretches(self, begin: datetime, end: datetime) -> list[Interval]:
        """[begin, end) cut where the hierarchy may change."""
        cuts = [begin, *(at for at in self._begins if begin < at < end), end]
        return [(cuts[n], cuts[n + 1]) for n in range(len(cuts) - 1)]

    def _in_stretch(self, number: int, code: str) -> frozenset[str]:
        key = (number, code)
        if key not in self._below:
            at = self._begins[number]
            self._below[key] = frozenset(one for one in self._parents if code in self._areas.path_at(one, at))
        return self._below[key]


@lru_cache(maxsize=4)
def hierarchy_of(areas: Areas) -> Hierarchy:
    """The hierarchy of a profile's areas, made once."""
    return Hierarchy(areas)
