"""Compare stored rows with what events, or the rows below them, give. Called by aggregate.verify, in one snapshot.

Events and pairs are streamed in the order of time, so that memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl

from citybrain.store import partitions
from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("verify")
_PREFETCH = 5_000
_SORTED_WITHIN_S = 600.0
_MINUTE_COLUMNS = (
    "metric", "area", "subject", "source", "minute", "count", "sum", "min", "max", "latest", "part", "weight", "subjects",
)  # fmt: skip
_TABLES = {"1m": "metric_window_1m", "1h": "metric_window_1h", "1d": "metric_window_1d"}


class Difference(NamedTuple):
    """A row that is not what it is made of; `step` is that of a window, or `pair`. Counts of readings, None where no row is."""

    step: str
    metric: str
    area: str
    subject: str | None
    source: str | None
    start: datetime
    stored: int | None
    computed: int | None


class StoredEvent(NamedTuple):
    """What is needed of an event to read it again: `at` in µs since 1970, `data` as JSON text."""

    at: int
    source: str
    id: str
    type: str
    subject: str | None
    area: str
    data: str


class Pair(NamedTuple):
    """A reading that needs a partner; `reset` when a register has fallen."""

    metric: str
    subject: str
    chain: str
    at: int
    key: str
    area: str
    role: str
    micros: int
    reset: bool


class OpenPair(NamedTuple):
    """The last reading of a chain, which the next one needs."""

    metric: str
    subject: str
    chain: str
    at: int
    key: str
    role: str
    micros: int


async def event_stretches(connection: Connection) -> list[tuple[datetime, datetime]]:
    """The stretches, (start, end), whose raw events are kept, and stay so until the end of the transaction: call it first."""
    await connection.execute(_SQL["keep_events"])
    return [(one.start, one.end) for one in await partitions.event_stretches(connection)]


async def events(connection: Connection, begin: datetime, end: datetime) -> AsyncIterator[StoredEvent]:
    """The events of [begin, end) in the order of time."""
    async for row in connection.cursor(_SQL["events"], begin, end, prefetch=_PREFETCH, timeout=_SORTED_WITHIN_S):
        yield StoredEvent(*row)


class Pairs:
    """The stored pairs from a moment on, in the order of time, a stretch at a time."""

    def __init__(self, connection: Connection, begin: datetime) -> None:
        self._rows: AsyncIterator[Any] = aiter(
            connection.cursor(_SQL["pairs"], begin, prefetch=_PREFETCH, timeout=_SORTED_WITHIN_S)
        )
        self._ahead: Pair | None = None

    async def before(self, at: int | None) -> list[Pair]:
        """Those that were not given out yet and are before a moment, in µs; None: all that are left."""
        found: list[Pair] = []
        while (pair := self._ahead or await self._next()) is not None and (at is None or pair.at < at):
            found.append(pair)
            self._ahead = None
        self._ahead = pair
        return found

    async def _next(self) -> Pair | None:
        row = await anext(self._rows, None)
        return None if row is None else Pair(*row)


async def open_pairs(connection: Connection, before: datetime) -> list[OpenPair]:
    """The readings before a moment that later ones build on."""
    rows = await connection.fetch(_SQL["open_pairs"], before, timeout=_SORTED_WITHIN_S)
    return [OpenPair(*row) for row in rows]


async def wrong_minutes(connection: Connection, begin: datetime, end: datetime, made: pl.DataFrame) -> list[Difference]:
    """Minutes of assets in [begin, end) that differ from those given, in the form of aggregate.windows."""
    columns = [made[name].to_list() for name in _MINUTE_COLUMNS]
    return [Difference("1m", *row) for row in await connection.fetch(_SQL["wrong_minutes"], begin, end, *columns)]


async def span(connection: Connection) -> tuple[datetime, datetime] | None:
    """The first and last minute that have readings."""
    row = await connection.fetchrow(_SQL["span"])
    return None if row is None or row["first"] is None else (row["first"], row["last"])


async def final_through(connection: Connection) -> datetime:
    """Up to here hours and days are stored."""
    found: datetime = await connection.fetchval(_SQL["final_through"])
    return found


async def pending(connection: Connection) -> int:
    """Rows that rollup still has to make; differences are expected while there are any."""
    return int(await connection.fetchval(_SQL["pending"]))


async def minute_starts(connection: Connection, begin: datetime, end: datetime) -> list[datetime]:
    """The minutes of [begin, end) that have readings."""
    return [row["start"] for row in await connection.fetch(_SQL["minute_starts"], begin, end)]


async def wrong_leaf_rows(
    connection: Connection, step: str, finer: str, bounds: Sequence[tuple[datetime, datetime]]
) -> list[Difference]:
    """Hours or days of assets within the given (start, end) that differ from their finer rows."""
    query = _SQL["leaf_rows"].format(table=_TABLES[step], finer=_TABLES[finer])
    rows = await connection.fetch(query, [start for start, _ in bounds], [end for _, end in bounds])
    return [Difference(step, *row) for row in rows]


async def wrong_area_rows(connection: Connection, step: str, starts: Sequence[datetime]) -> list[Difference]:
    """Rows of areas that differ from the rows whose parent they are."""
    rows = await connection.fetch(_SQL["area_rows"].format(table=_TABLES[step]), list(starts))
    return [Difference(step, *row) for row in rows]
