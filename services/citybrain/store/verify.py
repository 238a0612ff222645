"""Compare stored rows with what the rows below them give. Called by aggregate.verify, in one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("verify")
_TABLES = {"1m": "metric_window_1m", "1h": "metric_window_1h", "1d": "metric_window_1d"}


class Difference(NamedTuple):
    """A row whose readings are not those of what it is made of; None where there is no row."""

    step: str
    metric: str
    area: str
    subject: str | None
    source: str | None
    start: datetime
    stored: int | None
    computed: int | None


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
