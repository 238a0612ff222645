"""What `doctor` asks of a database: version, extension, migrations, clock, size, profile, keys. Called by citybrain.doctor;
the time by citybrain.vitals, too."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from citybrain.store.migrate import known_migrations
from citybrain.store.pool import Connection, connect, translated
from citybrain.store.queries import load

_SQL = load("checkup")


class Database(NamedTuple):
    """What was found. `skew_s`: how far this machine's clock is ahead; `round_trip_s` is how unsure that is, at most.

    `missing` migrations are of this version and not applied, `unknown` ones are of another version.
    """

    version: str
    timescale: str | None
    size_bytes: int
    skew_s: float
    round_trip_s: float
    missing: list[str]
    unknown: list[str]
    profile: str | None
    keys: int


async def examine(dsn: str) -> Database:
    """Ask. Raises DatabaseUnavailable."""
    connection = await connect(dsn, 10)
    try:
        with translated():
            begun = time.monotonic()
            now = await connection.fetchval(_SQL["clock"])
            took = time.monotonic() - begun
            skew = (datetime.now(UTC) - now).total_seconds() - took / 2
            version, timescale, size, migrated = await _row(connection, "server")
            known = known_migrations()
            applied = [row["name"] for row in await connection.fetch(_SQL["migrations"])] if migrated else []
            missing = [name for name in known if name not in applied]
            profile, keys = (None, 0) if missing else await _row(connection, "contents")
            unknown = [name for name in applied if name not in known]
            return Database(version, timescale, size, skew, took, missing, unknown, profile, keys)
    finally:
        await connection.close()


async def the_time(connection: Connection) -> datetime:
    """That of the database's clock."""
    found: datetime = await connection.fetchval(_SQL["clock"])
    return found


async def _row(connection: Connection, name: str) -> tuple[Any, ...]:
    """Of a query that returns one row always."""
    [row] = await connection.fetch(_SQL[name])
    return tuple(row)
