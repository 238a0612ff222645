"""Sets of instants as sorted, disjoint half-open intervals [begin, end). Called by the modules about holes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

Interval = tuple[datetime, datetime]
Intervals = Sequence[Interval]


def union(parts: Iterable[Interval]) -> list[Interval]:
    """All of the intervals, which may overlap and be in any order."""
    found: list[Interval] = []
    for begin, end in sorted(part for part in parts if part[0] < part[1]):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def subtract(whole: Intervals, taken: Intervals) -> list[Interval]:
    """What is in `whole` and not in `taken`."""
    found: list[Interval] = []
    at = 0
    for begin, end in whole:
        reached = begin
        while at < len(taken) and taken[at][1] <= reached:
            at += 1
        look = at
        while look < len(taken) and taken[look][0] < end:
            if taken[look][0] > reached:
                found.append((reached, taken[look][0]))
            reached = max(reached, taken[look][1])
            look += 1
        if reached < end:
            found.append((reached, end))
    return found


def intersect(one: Intervals, other: Intervals) -> list[Interval]:
    """What is in both."""
    return subtract(one, subtract(one, other))
