"""Own the stretch of time in which a line of a profile is true. Used by areas, places and the roster. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Validity:
    """From `valid_from` up to, not including, `valid_to`, both UTC instants; None is open."""

    valid_from: datetime | None = None
    valid_to: datetime | None = None

    @property
    def begin(self) -> datetime:
        """`valid_from`, or a time before all others."""
        return self.valid_from or EARLIEST

    @property
    def end(self) -> datetime:
        """`valid_to`, or a time after all others."""
        return self.valid_to or LATEST

    def holds(self, at: datetime) -> bool:
        """Whether it is true at that instant."""
        return (self.valid_from is None or self.valid_from <= at) and (self.valid_to is None or at < self.valid_to)

    def overlaps(self, other: Validity) -> bool:
        """Whether there is an instant at which both are true."""
        return self.begin < other.end and other.begin < self.end

    def uncovered_by(self, others: Iterable[Validity]) -> datetime | None:
        """The first instant of this stretch at which none of the others is true, if there is one."""
        reached = self.begin
        for other in sorted(others, key=lambda one: one.begin):
            if other.begin <= reached:
                reached = max(reached, other.end)
        return reached if reached < self.end else None


ALWAYS = Validity()
