"""Which row a row of an area adds to, remembered as numbers. Called by aggregate.rollup.

The answer depends on the profile (an area may have had several parents, each from a moment on), so a new profile empties the
memory. An area that the profile no longer has keeps its own figures and adds to nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from citybrain.aggregate.modes import MODES
from citybrain.city import LEVELS, City
from citybrain.store.dictionary import Dictionary, Series
from citybrain.store.pool import Connection
from citybrain.store.rollups import Todo

_ALWAYS = datetime.min.replace(tzinfo=UTC)
MAX_REMEMBERED = 500_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a series of an area stands: its level (0 is the city) and, from each moment on, the series above it.

    The city has no parent: its rows name themselves, negative, so that they stay together in the index.
    """

    number: int
    depth: int
    mode: int
    begins: tuple[datetime, ...]
    parents: tuple[int, ...]

    def parent_at(self, at: datetime) -> int:
        """The series that rows of this moment add to; negative for none."""
        return self.parents[0] if len(self.parents) == 1 else self.parents[max(0, bisect_right(self.begins, at) - 1)]

    def todo(self, start: datetime) -> Todo:
        """What has to be known to make a row."""
        return Todo(self.number, start, self.parent_at(start), self.mode)


@dataclass(slots=True)
class SeriesTree:
    """Places by number."""

    dictionary: Dictionary
    _version: str = ""
    _places: dict[int, Place] = field(default_factory=dict)

    async def places(self, connection: Connection, city: City, numbers: Iterable[int]) -> dict[int, Place]:
        """The places of series of areas; parents that have no series yet get one now."""
        if city.version != self._version or len(self._places) > MAX_REMEMBERED:
            self._places, self._version = {}, city.version
        wanted = set(numbers)
        missing = wanted - self._places.keys()
        if missing:
            await self._find(connection, city, missing)
        return {number: self._places[number] for number in wanted}

    def forget(self) -> None:
        """A transaction was rolled back: numbers that it gave out do not exist."""
        self._places = {}

    async def _find(self, connection: Connection, city: City, missing: set[int]) -> None:
        names = await self.dictionary.name_series(connection, missing)
        above = {number: _parents(city, names[number].area) for number in missing}
        numbers = await self.dictionary.number_series(
            connection,
            {Series(names[number].metric, area) for number in missing for _, area in above[number] if area is not None},
        )
        for number in missing:
            metric, area = names[number].metric, names[number].area
            self._places[number] = Place(
                number,
                LEVELS.index(city.areas.level(area)) if city.areas.known(area) else len(LEVELS),
                MODES[metric],
                tuple(begin for begin, _ in above[number]),
                tuple(-number if parent is None else numbers[Series(metric, parent)] for _, parent in above[number]),
            )


def _parents(city: City, area: str) -> list[tuple[datetime, str | None]]:
    """The parents that an area ever had, each from a moment on; the first one stands for the time before too."""
    if not city.areas.known(area):
        return [(_ALWAYS, None)]
    return [(one.validity.begin, one.parent) for one in city.areas.versions_of(area)]
