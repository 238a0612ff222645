"""Monthly partitions of the tables that grow with time. Made before a batch's transaction, outside of it; listed for others.

A new partition is made beside the table and then attached, which lets readers and writers of the table go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("partitions")
TABLES = ("event", "metric_window_1m")


class Partitions:
    """Makes what is missing; remembers what is there."""

    def __init__(self) -> None:
        self._known: set[tuple[int, int]] = set()

    async def ensure(self, connection: Connection, months: Iterable[tuple[int, int]]) -> None:
        """Partitions of every table for (year, month) pairs. Safe from several processes at once."""
        for year, month in sorted(set(months) - self._known):
            for table in TABLES:
                await _make(connection, table, year, month)
            self._known.add((year, month))

    def forget(self) -> None:
        """Retention has dropped some: look again."""
        self._known.clear()


def month_of(moment: datetime) -> tuple[int, int]:
    """The partition that an instant belongs to."""
    utc = moment.astimezone(UTC)
    return utc.year, utc.month


async def event_months(connection: Connection) -> list[tuple[datetime, datetime]]:
    """The months, (start, end), whose raw events are kept."""
    starts: list[datetime] = [row["month"] for row in await connection.fetch(_SQL["event_months"])]
    return [_bounds(start.year, start.month) for start in starts]


def _bounds(year: int, month: int) -> tuple[datetime, datetime]:
    return datetime(year, month, 1, tzinfo=UTC), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)


async def _make(connection: Connection, table: str, year: int, month: int) -> None:
    name = f"{table}_{year:04d}_{month:02d}"
    begin, end = _bounds(year, month)
    async with connection.transaction():
        await connection.execute("set local lock_timeout = '20s'")
        await connection.execute("select pg_advisory_xact_lock(hashtext($1))", name)
        if await connection.fetchval("select to_regclass($1)", name) is not None:
            return
        await connection.execute(f"create table {name} (like {table} including defaults including storage)")
        await connection.execute(
            f"alter table {table} attach partition {name} for values from ('{begin.isoformat()}') to ('{end.isoformat()}')"
        )
