"""Which scopes have to be looked at again, from which tick on. Called by alert.conditions. Pure: numbers in, numbers out.

A minute m is part of the windows of the ticks m + 1 … m + reach. So a changed minute moves those, and through the state of
its scope all later ones; without a change a scope that is inactive moves only when a minute enters or leaves its window.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from citybrain.alert.ticks import width_of
from citybrain.rulebook.model import Absence, Per, Threshold

MINUTE = timedelta(minutes=1)
OPEN_TICKS = 90  # how far behind the last event final ticks may be before early rules wait for them: event times may be ahead


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that look at the same windows."""

    metric: str
    per: Per
    width: int
    rules: tuple[Threshold, ...]

    @property
    def early(self) -> bool:
        """Whether one of them looks at open ticks."""
        return any(rule.early for rule in self.rules)

    @property
    def fires_on_silence(self) -> bool:
        """Whether one of them fires without data."""
        return any(rule.no_data == "fire" for rule in self.rules)

    @property
    def windows(self) -> int:
        """Windows that one tick looks at: the last one, and the one before it."""
        compared = [rule.when.previous_of or (rule.clear is not None and rule.clear.previous_of) for rule in self.rules]
        return 2 if any(compared) else 1

    @property
    def reach(self) -> int:
        """How many ticks a minute is part of."""
        return self.width * self.windows


def groups_of(rules: Iterable[Threshold | Absence]) -> list[Group]:
    """Threshold rules, those of a metric, level and window together."""
    found: defaultdict[tuple[str, Per, int], list[Threshold]] = defaultdict(list)
    for rule in rules:
        if isinstance(rule, Threshold):
            found[rule.metric, rule.per, width_of(rule)].append(rule)
    return [Group(*key, tuple(members)) for key, members in found.items()]


def lateness_of(rule: Threshold | Absence, profile: timedelta) -> int:
    """By how many ticks a rule's ticks are settled later than they are final."""
    own = profile if rule.lateness is None else rule.lateness
    return -(-own // MINUTE)


def moving_minutes(group: Group, before: int, final: int) -> list[int]:
    """The minutes whose rows enter or leave a window at the ticks (before, final]."""
    tumbling = all(rule.tumbling for rule in group.rules)
    if tumbling or any(rule.tumbling for rule in group.rules):
        first = (before // group.width + 1 - (group.windows + 1)) * group.width
        begins = first if before // group.width != final // group.width else before
        return list(range(min(begins, before) if tumbling else min(begins, before - group.reach), final))
    found: set[int] = set()
    for n in range(group.windows + 1):
        found.update(range(before - n * group.width, final - n * group.width))
    return sorted(found)


def spread(spans: pl.DataFrame) -> pl.DataFrame:
    """(rule, series, begin, end) to a row (rule, series, tick) for every tick in (begin, end]."""
    begins, lengths = spans["begin"].to_numpy(), np.maximum((spans["end"] - spans["begin"]).to_numpy(), 0)
    rows = np.repeat(np.arange(len(begins)), lengths)
    ticks = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + begins[rows] + 1
    return pl.DataFrame({"rule": spans["rule"].gather(rows), "series": spans["series"].gather(rows), "tick": ticks})


def parts(begins: Sequence[tuple[int, int]], rules: int, end: int, most: int) -> Iterable[Sequence[tuple[int, int]]]:
    """(scope, begin) cut so that scopes × rules × ticks of a part stay near a number."""
    part: list[tuple[int, int]] = []
    size = 0
    for one in begins:
        part.append(one)
        size += rules * max(1, end - one[1])
        if size >= most:
            yield part
            part, size = [], 0
    if part:
        yield part
