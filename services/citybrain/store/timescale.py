"""TimescaleDB: the tables that grow as hypertables, their old chunks in columns. Called by `migrate` and by aggregate's upkeep.

Where the extension may be used, with its compression (the Timescale licence), the same tables become hypertables; anywhere
else they stay PostgreSQL's own partitions. No query knows the difference. A row that comes late for a compressed chunk is
stored beside it and folded in by a later call of `compress`.

A series' rows lie together under the area they add to (`parent, series`): that is how rollup and the API look for them, and an
upsert finds its row in one batch. Events of an asset lie together in the order of time.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_log = logging.getLogger(__name__)
_SQL = load("timescale")
_LOCK = 0x636F6C73  # "cols"
CHUNK = timedelta(days=7)
_COMPRESS_WITHIN_S = 3600.0


class _Hypertable(NamedTuple):
    """How a table is cut (in chunks of so many times the setting) and laid in columns. `looked_up`: found without its segment."""

    table: str
    time: str
    chunks: int
    segment: str
    order: str
    looked_up: str | None = None


_HYPERTABLES = (
    _Hypertable("event", "time", 1, "subject", "time, source_no, id", "id"),
    _Hypertable("metric_window_1m", "start", 1, "parent, series", "start"),
    _Hypertable("metric_window_1h", "start", 13, "parent, series", "start"),
    _Hypertable("metric_window_1d", "start", 104, "parent, series", "start"),
)


async def adopt(connection: Connection, chunk: timedelta) -> bool:
    """Make hypertables of the tables that grow, in the caller's transaction, with what they hold; False where that cannot be.

    Called again it sets the length of the chunks that are made from now on.
    """
    if not await _usable(connection):
        return False
    views = await connection.fetch(_SQL["views"], [one.table for one in _HYPERTABLES])
    waiting = [one for one in _HYPERTABLES if not await connection.fetchval(_SQL["is_hypertable"], one.table)]
    if waiting:
        for view in views:
            await connection.execute(f"drop view {view['name']}")
        for one in waiting:
            await _convert(connection, one, chunk)
        for view in views:
            await connection.execute(f"create view {view['name']} as {view['definition']}")
        _log.info("hypertables_made", extra={"tables": [one.table for one in waiting]})
    for one in _HYPERTABLES:
        await connection.execute(_SQL["set_chunk"], one.table, chunk * one.chunks)
    return True


async def compress(connection: Connection, before: datetime, *, late: bool) -> list[str]:
    """Lay chunks that ended before a moment in columns, one transaction each; with `late` also rows that came since.

    The chunks that were done; none when another process is at it.
    """
    done: list[str] = []
    if not await connection.fetchval(_SQL["has_chunks"]):
        return done
    for row in await connection.fetch(_SQL["uncompressed"], [one.table for one in _HYPERTABLES], before, late):
        async with connection.transaction():
            if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", _LOCK):
                return done
            await connection.execute("set local lock_timeout = '5s'")
            await connection.execute(_SQL["compress"], row["name"], timeout=_COMPRESS_WITHIN_S)
        done.append(row["name"])
    return done


async def _usable(connection: Connection) -> bool:
    """Whether the extension is here, or can be made, and compresses."""
    if not await connection.fetchval(_SQL["is_here"]):
        if not await connection.fetchval(_SQL["is_available"]):
            return False
        try:
            async with connection.transaction():
                await connection.execute("create extension timescaledb")
        except asyncpg.PostgresError as error:  # not preloaded, not allowed: partitions do as well
            _log.warning("timescaledb_not_used", extra={"reason": str(error)})
            return False
    if await connection.fetchval(_SQL["licence"]) != "timescale":
        _log.warning("timescaledb_not_used", extra={"reason": "its Apache edition does not compress"})
        return False
    return True


async def _convert(connection: Connection, one: _Hypertable, chunk: timedelta) -> None:
    """A hypertable in place of a partitioned table: the same columns, rows, keys and indexes."""
    table, fresh = one.table, f"{one.table}_fresh"
    indexes = await connection.fetch(_SQL["indexes"], table)
    keys = await connection.fetch(_SQL["keys"], table)
    await connection.execute(f"create table {fresh} (like {table} including defaults including storage)")
    await connection.execute(_SQL["make_hypertable"], fresh, one.time, chunk * one.chunks)
    await connection.execute(f"insert into {fresh} table {table}")
    await connection.execute(f"drop table {table}")
    await connection.execute(f"alter table {fresh} rename to {table}")
    for row in keys:
        await connection.execute(f"alter table {table} add constraint {row['name']} {row['definition']}")
    for row in indexes:
        await connection.execute(row["definition"].replace(" ON ONLY ", " ON ", 1))
    await connection.execute(
        f"alter table {table} set (timescaledb.compress, timescaledb.compress_segmentby = '{one.segment}',"
        f" timescaledb.compress_orderby = '{one.order}')"
    )
    if one.looked_up is not None:
        try:
            async with connection.transaction():
                await connection.execute(f"alter table {table} set (timescaledb.sparse_index = 'bloom({one.looked_up})')")
        except asyncpg.PostgresError as error:  # versions before 2.22 have none: such a look-up reads more
            _log.info("no_sparse_index", extra={"table": table, "reason": str(error)})
