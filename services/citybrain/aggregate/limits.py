"""How many dead letters are too many. Called by aggregate.worker. Pure.

A bad deploy must not empty the topic into dead letters: beyond a share of the recent records, or a long run of them, the
worker stops where it is and says so, and nothing is lost. (The idea of a ratio and a streak is sentry-arroyo's DlqLimit.)
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from citybrain.errors import CitybrainError

MAX_STREAK = 1_000
MAX_RATIO = 0.25
RECENT_RECORDS = 10_000
RATIO_FROM_RECORDS = 1_000


class TooManyDeadLetters(CitybrainError):
    """Most records cannot be decoded: something is wrong with this version, not with the records."""


@dataclass
class DeadLetterLimit:
    """Counts over the recent batches; `check` raises before a batch is stored, `count` after."""

    _recent: deque[tuple[int, int]] = field(default_factory=deque)
    _streak: int = 0

    def check(self, records: int, dead: int) -> None:
        """Raise TooManyDeadLetters when a batch with so many dead ones would pass the limits."""
        streak = self._streak + records if dead == records else 0
        seen = records + sum(read for read, _ in self._recent)
        bad = dead + sum(lost for _, lost in self._recent)
        if streak > MAX_STREAK or (seen >= RATIO_FROM_RECORDS and bad > MAX_RATIO * seen):
            raise TooManyDeadLetters(f"{bad} of the last {seen} records cannot be decoded: stopped before keeping more of them")

    def count(self, records: int, dead: int) -> None:
        """A batch was stored."""
        self._streak = self._streak + records if dead == records else 0
        self._recent.append((records, dead))
        while self._recent and sum(read for read, _ in self._recent) - self._recent[0][0] >= RECENT_RECORDS:
            self._recent.popleft()
