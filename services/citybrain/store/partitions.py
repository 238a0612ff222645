"""Partitions of the tables that grow with time. Made ahead of time, and before a batch's transaction; dropped by retention.

On plain PostgreSQL events and minutes are cut by months, hours and days by years, all in UTC. A new partition is made beside
its table and then attached, which lets readers and writers of the table go on. TimescaleDB cuts its chunks itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("partitions")
MONTHLY = ("event", "metric_window_1m")
YEARLY = ("metric_window_1h", "metric_window_1d")
MONTHS_AHEAD = 2
DROP_LOCK_TIMEOUT = "5s"
_LONGEST_DAY = timedelta(days=2)  # a window of a minute may begin that much before it, counted generously


class Stretch(NamedTuple):
    """A partition or a chunk: its table's name, and the time from `start` to before `end`."""

    name: str
    start: datetime
    end: datetime


class Partitions:
    """Makes what is missing; remembers what is there."""

    def __init__(self) -> None:
        self._known: set[tuple[int, int]] = set()
        self._native: bool | None = None

    async def ensure(self, connection: Connection, months: Iterable[tuple[int, int]]) -> None:
        """Partitions of every table for (year, month) pairs. Safe from several processes at once."""
        missing = sorted(set(months) - self._known)
        if not missing or not await self._cut_here(connection):
            return
        for year, month in missing:
            begin, end = bounds_of_month(year, month)
            for table in MONTHLY:
                await _make(connection, table, f"{table}_{year:04d}_{month:02d}", begin, end)
            for each in sorted({(begin - _LONGEST_DAY).year, year}):
                for table in YEARLY:
                    await _make(connection, table, f"{table}_{each:04d}", *_bounds_of_year(each))
            self._known.add((year, month))

    async def ensure_ahead(self, connection: Connection, now: datetime) -> None:
        """Those of this month and the next ones, before anything falls into them."""
        months = [month_of(now)]
        for _ in range(MONTHS_AHEAD):
            months.append(month_of(bounds_of_month(*months[-1])[1]))
        await self.ensure(connection, months)

    def forget(self) -> None:
        """Retention has dropped some: look again."""
        self._known.clear()

    async def _cut_here(self, connection: Connection) -> bool:
        """Whether the tables are cut by us."""
        if self._native is None:
            self._native = await connection.fetchval(_SQL["is_partitioned"])
        return bool(self._native)


def month_of(moment: datetime) -> tuple[int, int]:
    """The monthly partition that an instant belongs to."""
    utc = moment.astimezone(UTC)
    return utc.year, utc.month


def bounds_of_month(year: int, month: int) -> tuple[datetime, datetime]:
    """From its first instant to before the end."""
    return datetime(year, month, 1, tzinfo=UTC), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)


def _bounds_of_year(year: int) -> tuple[datetime, datetime]:
    return datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)


async def event_stretches(connection: Connection) -> list[Stretch]:
    """Where raw events are kept, partition by partition, in the order of time."""
    if not await connection.fetchval(_SQL["is_partitioned"]):
        return [Stretch(*row) for row in await connection.fetch(_SQL["event_chunks"])]
    starts: list[datetime] = [row["month"] for row in await connection.fetch(_SQL["event_months"])]
    return [Stretch(f"event_{start:%Y_%m}", *bounds_of_month(start.year, start.month)) for start in starts]


async def drop_events(connection: Connection, stretch: Stretch) -> None:
    """Drop a partition of raw events with all that came before it; waits for readers for DROP_LOCK_TIMEOUT at most."""
    async with connection.transaction():
        await connection.execute(f"set local lock_timeout = '{DROP_LOCK_TIMEOUT}'")
        if await connection.fetchval(_SQL["is_partitioned"]):
            await connection.execute(f"drop table {stretch.name}")
        else:
            await connection.execute(_SQL["drop_chunks"], stretch.end)


async def _make(connection: Connection, table: str, name: str, begin: datetime, end: datetime) -> None:
    async with connection.transaction():
        await connection.execute("set local lock_timeout = '20s'")
        await connection.execute("select pg_advisory_xact_lock(hashtext($1))", name)
        if await connection.fetchval("select to_regclass($1)", name) is not None:
            return
        await connection.execute(f"create table {name} (like {table} including defaults including storage)")
        await connection.execute(
            f"alter table {table} attach partition {name} for values from ('{begin.isoformat()}') to ('{end.isoformat()}')"
        )
