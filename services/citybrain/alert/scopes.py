"""Which scope a series belongs to, and which series a scope has. Called by alert.worker; reads the table of series.

A scope's number is a series' number: of an area its own series', of an asset the first one known of those that it has in the
areas where it was seen. The memory is complete for every asset in it: a series that is made later comes with a change. It has
to be forgotten when another process has read changes meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from citybrain.city import City
from citybrain.rulebook.model import Per
from citybrain.store import changes
from citybrain.store.changes import SeriesRow
from citybrain.store.pool import Connection

MAX_REMEMBERED = 1_000_000
SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule looks at: an asset, or an area of some level."""

    number: int
    metric: str
    per: Per | None  # None: a source, or an area that the profile does not know
    code: str  # subject, or code of the area
    area: str  # the area; of an asset the one of the series that gave the number

    @property
    def text(self) -> str:
        """As it is stored."""
        return f"{self.per}:{self.code}"


@dataclass(slots=True)
class ScopeBook:
    """Scopes by series and by what they are."""

    _scopes: dict[int, Scope] = field(default_factory=dict)  # by any series of theirs
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)  # of (metric, text)
    _others: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))  # further series of an asset
    _areas: dict[int, str] = field(default_factory=dict)  # of those further series
    _aside: set[int] = field(default_factory=set)  # series that no rule looks at
    _version: str = ""
    _wanted: frozenset[tuple[str, str]] = frozenset()

    def forget(self) -> None:
        """Start anew."""
        self._scopes, self._numbers, self._others, self._areas, self._aside = {}, {}, defaultdict(list), {}, set()

    def follow(self, city: City, wanted: frozenset[tuple[str, str]]) -> None:
        """Only scopes of (metric, per) that rules look at are kept. Levels of areas may change with the profile; and memory is
        bounded."""
        if (city.version, wanted) != (self._version, self._wanted) or len(self._scopes) + len(self._aside) > MAX_REMEMBERED:
            self.forget()
            self._version, self._wanted = city.version, wanted

    async def learn(self, connection: Connection, city: City, numbers: Iterable[int]) -> None:
        """Look numbered series up that a rule may look at, with all others of the same assets."""
        missing = set(numbers) - self._scopes.keys() - self._aside
        if not missing:
            return
        rows = [row for row in await changes.series(connection, missing) if self._is_wanted(city, row)]
        self._aside |= missing - {row.number for row in rows}
        unseen: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            if row.subject is not None and (row.metric, f"{SUBJECT}:{row.subject}") not in self._numbers:
                unseen[row.metric].add(row.subject)
        for metric, subjects in unseen.items():
            self._add(city, await changes.series_of_subjects(connection, metric, subjects))
        self._add(city, rows)

    async def find(self, connection: Connection, city: City, metric: str, texts: Collection[str]) -> dict[str, Scope]:
        """Scopes by their texts; those without any series are left out."""
        missing = [text.split(":", 1) for text in texts if (metric, text) not in self._numbers]
        subjects = {code for kind, code in missing if kind == SUBJECT}
        areas = {code for kind, code in missing if kind != SUBJECT}
        if subjects:
            self._add(city, await changes.series_of_subjects(connection, metric, subjects))
        if areas:
            self._add(city, await changes.series_of_areas(connection, metric, areas))
        return {text: self._scopes[self._numbers[metric, text]] for text in texts if (metric, text) in self._numbers}

    def __getitem__(self, number: int) -> Scope:
        """The scope of a series that was learnt and is wanted."""
        return self._scopes[number]

    def get(self, number: int) -> Scope | None:
        """The same; None for one that no rule looks at."""
        return self._scopes.get(number)

    def series_of(self, scope: int) -> tuple[int, ...]:
        """All series of a scope."""
        return (scope, *self._others.get(scope, ()))

    def area_of(self, series: int) -> str:
        """Where a series is: an asset that was seen in several areas has one in each."""
        return self._areas.get(series) or self._scopes[series].area

    def _is_wanted(self, city: City, row: SeriesRow) -> bool:
        return (row.metric, str(_scope(city, row).per)) in self._wanted

    def _add(self, city: City, rows: Iterable[SeriesRow]) -> None:
        for row in sorted(rows):
            if row.number in self._scopes:
                continue
            scope = _scope(city, row)
            first = self._numbers.setdefault((row.metric, scope.text), row.number) if scope.per else row.number
            self._scopes[row.number] = self._scopes.get(first, scope)
            if first != row.number:
                self._areas[row.number] = row.area
                self._others[first].append(row.number)


def _scope(city: City, row: SeriesRow) -> Scope:
    if row.subject is not None:
        return Scope(row.number, row.metric, "subject", row.subject, row.area)
    if row.source is not None or not city.areas.known(row.area):
        return Scope(row.number, row.metric, None, row.source or row.area, row.area)
    return Scope(row.number, row.metric, city.areas.level(row.area), row.area, row.area)
