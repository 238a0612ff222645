"""Pipeline gaps: stretches in which we, not the city, were down. Used by ticks and absence. Pure: columns in, columns out.

Times are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Micros = NDArray[np.int64]


class Gaps:
    """Stretches [begin, end), overlapping ones merged. Never changed once made."""

    def __init__(self, stretches: Iterable[tuple[int, int]] = ()) -> None:
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(stretches):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            elif end > begin:
                merged.append((begin, end))
        self.begins = np.array([begin for begin, _ in merged], np.int64)
        self.ends = np.array([end for _, end in merged], np.int64)
        lengths = self.ends - self.begins
        self._lost = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])  # before the gap of that index
        self._resumed = self.begins - self._lost[:-1]  # where each gap is on the clock that stands still in gaps

    def __bool__(self) -> bool:
        return bool(len(self.begins))

    def touch(self, begins: Micros, ends: Micros) -> NDArray[np.bool_]:
        """Whether [begin, end) and any gap have a moment in common."""
        found: NDArray[np.bool_] = np.searchsorted(self.ends, begins, "right") < np.searchsorted(self.begins, ends, "left")
        return found

    def running(self, moments: Micros) -> Micros:
        """The clock that stands still in gaps, at these moments."""
        before = np.searchsorted(self.begins, moments, "right")
        inside = np.zeros_like(moments)
        held = before > 0
        inside[held] = np.maximum(self.ends[before[held] - 1] - moments[held], 0)
        found: Micros = moments - self._lost[before] + inside
        return found

    def moments(self, running: Micros) -> Micros:
        """The last moments at which that clock shows these values: the end of a gap when it stands there."""
        found: Micros = running + self._lost[np.searchsorted(self._resumed, running, "right")]
        return found
