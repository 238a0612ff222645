"""Which minutes cannot be there yet, and whether identities rarely are: what may be copied in. Called by aggregate.batch.

Only a guess that saves work: a row that was there after all is found by its key, and the rows go the careful way instead. The
guess is good because an asset's rows have one writer, whose batches are fenced. Pure but for its memory, which is bounded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from citybrain.store.dictionary import SHARDS

MAX_SERIES = 8_000_000  # the first that a city numbered; later ones are not remembered
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

    _known: Minutes = field(default_factory=_nothing)  # by number // SHARDS, which goes up by one a series
    _fresh: list[tuple[Numbers, Numbers]] = field(default_factory=list)
    _careful: int = 0

    def are_new(self, series: Numbers, minutes: Numbers, born: Collection[int]) -> NDArray[np.bool_]:
        """Of each row, whether its series' rows were all older; `born` are series that had none. Of a small batch no row is."""
        slots = series // SHARDS
        within = slots < MAX_SERIES
        slots, ended = slots[within], minutes[within]
        self._reach(int(slots.max(initial=-1)))
        self._fresh.append((slots, ended))
        found = np.zeros(len(series), np.bool_)
        if len(series) < AT_LEAST:
            return found
        known = self._known[slots]
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
        for slots, minutes in self._fresh:
            np.maximum.at(self._known, slots, minutes.astype(np.int32))
        self._fresh = []

    def rolled_back(self) -> None:
        """The transaction is gone."""
        self._fresh = []

    def _reach(self, slot: int) -> None:
        """Have room up to this slot, and for as many again."""
        if slot >= len(self._known):
            more = np.full(min(2 * slot + 1, MAX_SERIES) - len(self._known), _UNKNOWN, np.int32)
            self._known = np.concatenate([self._known, more])
