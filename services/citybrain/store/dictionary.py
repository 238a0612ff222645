"""Numbers in place of long names: sources and series. Used by aggregate's worker and rollup, one object each.

Rows are written in the caller's transaction. What a transaction added is remembered only once `committed` says so, and
forgotten by `rolled_back`. The memory is bounded: when it is full it starts anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from citybrain.store.pool import Connection, Pool, translated
from citybrain.store.queries import load

_SQL = load("dictionary")
MAX_REMEMBERED = 1_000_000
SHARDS = 16  # a series' number says its shard: number % SHARDS


class Series(NamedTuple):
    """A metric of an area (neither subject nor source), of an asset in it, or of a source without a subject."""

    metric: str
    area: str
    subject: str | None = None
    source: str | None = None

    @property
    def of_area(self) -> Series:
        """The area's own series, which rows of this one add to."""
        return Series(self.metric, self.area)


class Dictionary:
    """Names to numbers and back. `shard` says of a new series where it will be rolled up."""

    def __init__(self, shard: Callable[[Series], int]) -> None:
        self._shard = shard
        self.sources: dict[str, int] = {}
        self.series: dict[Series, int] = {}
        self._names: dict[int, Series] = {}
        self._new_sources: dict[str, int] = {}
        self._new_series: dict[Series, int] = {}
        self._pairs: dict[tuple[str | None, ...], tuple[int, int]] = {}  # a series as a plain tuple: its number and its area's
        self._new_pairs: dict[tuple[str | None, ...], tuple[int, int]] = {}
        self.born: set[int] = set()  # series that this transaction has added

    def committed(self) -> None:
        """Keep what the transaction added."""
        if len(self.series) + len(self._new_series) > MAX_REMEMBERED:
            self.series.clear()
            self._names.clear()
            self._pairs.clear()
        if len(self.sources) + len(self._new_sources) > MAX_REMEMBERED:
            self.sources.clear()
        self.sources |= self._new_sources
        self.series |= self._new_series
        self._pairs |= self._new_pairs
        self.rolled_back()

    def rolled_back(self) -> None:
        """Forget what the transaction added."""
        self._new_sources = {}
        self._new_series = {}
        self._new_pairs = {}
        self.born = set()

    async def number_sources(self, connection: Connection, names: Iterable[str]) -> dict[str, int]:
        """The number of every name, given out now where it has none."""
        wanted = set(names)
        found = {name: self.sources[name] for name in wanted if name in self.sources}
        missing = sorted(wanted - found.keys())
        if missing:
            await connection.execute(_SQL["add_sources"], missing)
            rows = await connection.fetch(_SQL["find_sources"], missing)
            added = {row["name"]: row["source_no"] for row in rows}
            self._new_sources |= added
            found |= added
        return found

    async def number_series(self, connection: Connection, wanted: Iterable[Series]) -> dict[Series, int]:
        """The number of every series, given out now where it has none."""
        found: dict[Series, int] = {}
        missing: list[Series] = []
        for one in set(wanted):
            number = self.series.get(one)
            if number is None:
                missing.append(one)
            else:
                found[one] = number
        if missing:
            columns = [list(column) for column in zip(*missing, strict=True)]
            new = await connection.fetch(_SQL["add_series"], *columns, [self._shard(one) for one in missing], SHARDS)
            self.born |= {row["series_no"] for row in new}
            rows = await connection.fetch(_SQL["find_series"], *columns)
            added = {one: row["series_no"] for one, row in zip(missing, rows, strict=True)}
            self._new_series |= added
            found |= added
        return found

    async def number_rows(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> tuple[list[int], list[int]]:
        """The numbers of series given as (metric, area, subject, source), and of their areas' own series; parallel lists."""
        asked = list(rows)
        found = list(map(self._pairs.get, asked))
        unknown = {Series(*row) for row, pair in zip(asked, found, strict=True) if pair is None}
        if unknown:
            numbers = await self.number_series(connection, unknown | {one.of_area for one in unknown})
            self._new_pairs |= {one: (numbers[one], numbers[one.of_area]) for one in unknown}
            found = [pair or self._new_pairs[row] for row, pair in zip(asked, found, strict=True)]
        pairs = [pair for pair in found if pair is not None]
        return [number for number, _ in pairs], [parent for _, parent in pairs]

    async def name_series(self, connection: Connection, numbers: Iterable[int]) -> dict[int, Series]:
        """What the numbered series are. All of them exist: rows name only numbers that were given out."""
        wanted = set(numbers)
        missing = [number for number in wanted if number not in self._names]
        if missing:
            if len(self._names) + len(missing) > MAX_REMEMBERED:
                self._names.clear()
                missing = list(wanted)
            for row in await connection.fetch(_SQL["name_series"], missing):
                self._names[row["series_no"]] = Series(row["metric"], row["area"], row["subject"], row["source"])
        return {number: self._names[number] for number in wanted}


async def put_metrics(connection: Connection | Pool, rows: Sequence[tuple[str, str, str, str, int]]) -> None:
    """Bring the table of metrics to the declared ones: name, unit, kind, across, mode."""
    with translated():
        await connection.execute(_SQL["put_metrics"], *[list(column) for column in zip(*rows, strict=True)])
