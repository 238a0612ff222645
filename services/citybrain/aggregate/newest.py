"""Which minutes cannot be there yet, and whether identities rarely are: what may be copied in. Called by aggregate.batch.

Only a guess that saves work: a row that was there after all is found by its key, and the rows go the careful way instead. The
guess is good because an asset's rows have one writer, whose batches are fenced. Pure but for its memory, which is bounded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MAX_NUMBER = 8_000_000  # series beyond are not remembered; numbers go up by 16 a series, so these are half a million
AT_LEAST = 500  # rows: fewer are written before two more round trips are made
CAREFUL_BATCHES = 50  # after one with identities that were known
_UNKNOWN = -1

Numbers = NDArray[np.int64]
Minutes = NDArray[np.int32]


def _nothing() -> Minutes:
    return np.empty(0, np.int32)


@dataclass(slots=True)
class Newest:
    """The newest minute of each series that this process has stored, and for how many batches identities are checked first."""

    _known: Minutes = field(default_factory=_nothing)  # by a series' number
    _fresh: list[tuple[Numbers, Numbers]] = field(default_factory=list)
    _careful: int = 0

    def are_new(self, series: Numbers, minutes: Numbers, born: Collection[int]) -> NDArray[np.bool_]:
        """Of each row, whether its series' rows were all older; `born` are series that had none. Of a small batch no row is."""
        within = series < MAX_NUMBER
        numbers, ended = series[within], minutes[within]
        self._fresh.append((numbers, ended))
        found = np.zeros(len(series), np.bool_)
        if len(series) < AT_LEAST:
            return found
        if len(numbers):
            self._reach(int(numbers.max()))
            known = self._known[numbers]
            found[within] = (known != _UNKNOWN) & (ended > known)
        return found | np.isin(series, list(born)) if born else found

    def expects_new_identities(self, count: int) -> bool:
        """Whether it is worth a try to store so many as if none was known."""
        return count >= AT_LEAST and self._careful == 0

    def saw_identities(self, known: int) -> None:
        """How many of a batch were known."""
        self._careful = CAREFUL_BATCHES if known else max(0, self._careful - 1)

    def committed(self) -> None:
        """The transaction holds."""
        for numbers, minutes in self._fresh:
            if len(numbers):
                self._reach(int(numbers.max()))
                np.maximum.at(self._known, numbers, minutes.astype(np.int32))
        self._fresh = []

    def rolled_back(self) -> None:
        """The transaction is gone."""
        self._fresh = []

    def _reach(self, number: int) -> None:
        """Have room up to this number."""
        if (room := number + 1 - len(self._known)) > 0:
            more = np.full(max(room, len(self._known)), _UNKNOWN, np.int32)
            self._known = np.concatenate([self._known, more])
