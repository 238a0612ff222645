"""Which minutes cannot be there yet, and whether identities rarely are: what may be copied in. Called by aggregate.batch.

Only a guess that saves work: a row that was there after all is found by its key, and the rows go the careful way instead. The
guess is good because an asset's rows have one writer, whose batches are fenced. Pure but for its memory, which is bounded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

MAX_REMEMBERED = 500_000
AT_LEAST = 500  # rows: fewer are written before two more round trips are made
CAREFUL_BATCHES = 50  # after one with identities that were known


@dataclass(slots=True)
class Newest:
    """The newest minute of each series that this process has stored, and for how many batches identities are checked first."""

    _known: dict[int, int] = field(default_factory=dict)
    _fresh: dict[int, int] = field(default_factory=dict)
    _careful: int = 0

    def are_new(self, series: Sequence[int], minutes: Sequence[int], born: Collection[int]) -> list[bool]:
        """Of each row, whether its series' rows were all older; `born` are series that had none. Of a small batch no row is."""
        known, newest = self._known, self._fresh
        found = [minute > known.get(number, minute) or number in born for number, minute in zip(series, minutes, strict=True)]
        for number, minute in zip(series, minutes, strict=True):
            if minute > newest.get(number, -1):
                newest[number] = minute
        return found if len(found) >= AT_LEAST else [False] * len(found)

    def expects_new_identities(self, count: int) -> bool:
        """Whether it is worth a try to store so many as if none was known."""
        return count >= AT_LEAST and self._careful == 0

    def saw_identities(self, known: int) -> None:
        """How many of a batch were known."""
        self._careful = CAREFUL_BATCHES if known else max(0, self._careful - 1)

    def committed(self) -> None:
        """The transaction holds."""
        if len(self._known) + len(self._fresh) > MAX_REMEMBERED:
            self._known.clear()
        for number, minute in self._fresh.items():
            if minute > self._known.get(number, -1):
                self._known[number] = minute
        self._fresh = {}

    def rolled_back(self) -> None:
        """The transaction is gone."""
        self._fresh = {}
