"""Numbers in place of long names: sources and series. Used by aggregate's worker and rollup, one object each.

Rows are written in the caller's transaction. What a transaction added is remembered only once `committed` says so, and
forgotten by `rolled_back`. The memory is bounded: when it is full it starts anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import polars as pl

from citybrain.store.pool import Connection, Pool, translated
from citybrain.store.queries import load

_SQL = load("dictionary")
MAX_REMEMBERED = 1_000_000
_SEPARATOR = "\x01"
SHARDS = 16  # a series' number says its shard: number % SHARDS


class Series(NamedTuple):
    """A metric of an area (neither subject nor source), of an asset in it, or of a source without a subject."""

    metric: str
    area: str
    subject: str | None = None
    source: str | None = None

    @property
    def is_of_area(self) -> bool:
        return self.subject is None and self.source is None

    @property
    def of_area(self) -> Series:
        """The area's own series, which rows of this one add to."""
        return Series(self.metric, self.area)


class SeriesRows(NamedTuple):
    """Series as columns (metric, area, subject, source), and a key of each, by which one that is known is found."""

    names: pl.DataFrame
    keys: list[str]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> SeriesRows:
        """From a frame that has these columns. Names hold no control characters."""
        names = rows.select(Series._fields)
        key = pl.concat_str(pl.all().fill_null(""), separator=_SEPARATOR)
        return cls(names, names.select(key).to_series().to_list())


class Dictionary:
    """Names to numbers and back. `shard` says of a new series where it will be rolled up."""

    def __init__(self, shard: Callable[[Series], int]) -> None:
        self._shard = shard
        self.sources: dict[str, int] = {}
        self.series: dict[Series, int] = {}  # of areas; those of assets and sources are found by their keys
        self._names: dict[int, Series] = {}
        self._new_sources: dict[str, int] = {}
        self._new_series: dict[Series, int] = {}
        self._pairs: dict[str, tuple[int, int]] = {}  # of a series' key: its number and its area's
        self._new_pairs: dict[str, tuple[int, int]] = {}
        self.born: set[int] = set()  # series that this transaction has added

    def committed(self) -> None:
        """Keep what the transaction added."""
        if len(self.series) + len(self._new_series) + len(self._pairs) + len(self._new_pairs) > MAX_REMEMBERED:
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
            self._new_series |= {one: number for one, number in added.items() if one.is_of_area}
            found |= added
        return found

    async def number_rows(self, connection: Connection, rows: SeriesRows) -> tuple[list[int], list[int]]:
        """The numbers of series, and of their areas' own series; parallel lists."""
        found = list(map(self._pairs.get, rows.keys))
        if None in found:
            asked = zip(rows.keys, rows.names.iter_rows(), found, strict=True)
            unknown = {key: Series(*names) for key, names, pair in asked if pair is None}
            numbers = await self.number_series(connection, {*unknown.values(), *(one.of_area for one in unknown.values())})
            self._new_pairs |= {key: (numbers[one], numbers[one.of_area]) for key, one in unknown.items()}
            found = [pair or self._new_pairs[key] for key, pair in zip(rows.keys, found, strict=True)]
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
