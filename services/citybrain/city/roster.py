"""Own which assets the city has, where each was at what time, and how often it is due. Called by ingest (for an event's
area), aggregate and the API (for silence and expected counts). Pure, and never changed once made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from citybrain.city.areas import Areas
from citybrain.city.literals import Name
from citybrain.city.validity import ALWAYS, Validity


@dataclass(frozen=True, slots=True)
class AssetFacts:
    """What the roster says about an asset besides its place: for people to read. Either of the names may be empty."""

    name: Name
    location: tuple[float, float] | None
    capacity: int | None


@dataclass(frozen=True, slots=True)
class RosterLine:
    """An asset that sends events of one type from one area while `validity` holds.

    Without `metrics` it feeds each metric of its type that it has ever reported; without `every` it is never due.
    """

    subject: str
    type: str
    area: str
    metrics: tuple[str, ...]
    every: timedelta | None
    validity: Validity
    facts: AssetFacts

    @property
    def valid_from(self) -> datetime | None:
        """The first instant, in UTC; None is open."""
        return self.validity.valid_from

    @property
    def valid_to(self) -> datetime | None:
        """The first instant, in UTC, at which it is no longer true; None is open."""
        return self.validity.valid_to


class Roster:
    """All lines, in the file's order. Lines of one subject that are true at the same time name the same area."""

    def __init__(self, lines: Iterable[RosterLine], areas: Areas) -> None:
        self.lines = tuple(lines)
        self._areas = areas
        by_subject: dict[str, tuple[RosterLine, ...]] = {}
        by_area: dict[str, list[RosterLine]] = defaultdict(list)
        for line in self.lines:
            by_subject[line.subject] = (*by_subject.get(line.subject, ()), line)
            by_area[line.area].append(line)
        self._by_subject = by_subject
        self._by_area = dict(by_area)
        self._lasting = {line.subject: line.area for line in self.lines if line.validity == ALWAYS}

    def area_of(self, subject: str, at: datetime) -> str | None:
        """The code where the asset was at that instant; None when the roster does not say."""
        lasting = self._lasting.get(subject)
        if lasting is not None:
            return lasting
        for line in self._by_subject.get(subject, ()):
            if line.validity.holds(at):
                return line.area
        return None

    def lines_of(self, subject: str) -> tuple[RosterLine, ...]:
        """The asset's lines of all times."""
        return self._by_subject.get(subject, ())

    def lines_in(self, code: str, at: datetime) -> list[RosterLine]:
        """The lines that are true at the instant and whose area is the code or, at that instant, lies below it."""
        return [
            line
            for area, lines in self._by_area.items()
            if area == code or code in self._areas.path_at(area, at)
            for line in lines
            if line.validity.holds(at)
        ]
