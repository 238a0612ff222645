"""Bring a database to this version. Called by `citybrain migrate`, `citybrain up` and the tests' template;
what is lacking is asked by runner and vitals, too.

Migrations are numbered files, forward only, each applied once, all that are missing in one transaction. Several hosts may
call at once: an advisory lock lets one work while the others wait, and nobody waits for a lock longer than a minute. Where
TimescaleDB can be used the tables that grow become its hypertables. Whoever could read the views before can read them after.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from datetime import timedelta
from importlib import resources

import asyncpg

from citybrain.errors import CitybrainError
from citybrain.store import readers, timescale
from citybrain.store.pool import Pool, connect, translated

_log = logging.getLogger(__name__)
_LOCK = 0x63697479  # "city"
LOCK_TIMEOUT = "60s"
WITHIN_S = 4 * 3600.0  # a change of large tables takes its time; only waiting for others is cut short


class MigrationChanged(CitybrainError):
    """A migration that this database has applied differs from the file of this version."""


class MigrationBlocked(CitybrainError):
    """Somebody holds a lock that a migration needs; nothing was changed."""


class OtherVersion(CitybrainError):
    """The database is not of this version of citybrain."""


async def require_this_version(pool: Pool) -> None:
    """Raise OtherVersion, with what to do, before anything is read that may not be there."""
    with translated():
        async with pool.acquire() as connection:
            applied: set[str] = set()
            if await connection.fetchval("select to_regclass('migration') is not null"):
                applied = {row["name"] for row in await connection.fetch("select name from migration")}
    _refuse_later(applied)
    if missing := [name for name in known_migrations() if name not in applied]:
        todo = "run `citybrain migrate`, or `citybrain up` where the city is embedded"
        raise OtherVersion(f"the database is not of this version, it lacks {', '.join(missing)}: {todo}")


def _refuse_later(applied: Collection[str]) -> None:
    if later := sorted(set(applied) - set(known_migrations())):
        raise OtherVersion(f"the database is of a later version, it has {', '.join(later)}: run that version of citybrain")


async def lacking(pool: Pool) -> list[str]:
    """This version's migrations that the database does not have: it was put back to an older state under a running process."""
    with translated():
        applied = {row["name"] for row in await pool.fetch("select name from migration")}
    return [name for name in known_migrations() if name not in applied]


async def migrate(dsn: str, chunk: timedelta = timescale.CHUNK) -> list[str]:
    """Apply what is missing; the names of the files applied now. `chunk`: how much time a chunk of TimescaleDB holds.

    Raises OtherVersion, with nothing changed, when the database is of a later version.
    """
    try:
        with translated():
            return await _migrate(dsn, chunk)
    except asyncpg.LockNotAvailableError as error:
        what = f"another session held a lock for over {LOCK_TIMEOUT} ({error}); nothing was changed"
        raise MigrationBlocked(f"{what}: stop the roles, or end that session, and try again") from error


async def _migrate(dsn: str, chunk: timedelta) -> list[str]:
    connection = await connect(dsn, command_timeout_s=WITHIN_S)
    try:
        async with connection.transaction():
            await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(
                "create table if not exists migration"
                " (name text primary key, sha256 text not null, applied_at timestamptz not null default now())"
            )
            done = {row["name"]: row["sha256"] for row in await connection.fetch("select name, sha256 from migration")}
            _refuse_later(done)
            may_read = await readers.holders(connection)
            applied = [name for name, text in _files() if await _apply(connection, name, text, done.get(name))]
            await timescale.adopt(connection, chunk)
            await readers.let_read(connection, may_read)
            return applied
    finally:
        await connection.close()


def known_migrations() -> list[str]:
    """The names of this version's files, in order."""
    return [name for name, _ in _files()]


def _files() -> list[tuple[str, str]]:
    folder = resources.files("citybrain.store") / "migrations"
    return sorted((entry.name, entry.read_text("utf-8")) for entry in folder.iterdir() if entry.name.endswith(".sql"))


async def _apply(connection: asyncpg.Connection, name: str, text: str, applied: str | None) -> bool:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    if applied == sha256:
        return False
    if applied is not None:
        raise MigrationChanged(f"migration {name} differs from the one that this database has applied")
    await connection.execute(text)
    await connection.execute("insert into migration (name, sha256) values ($1, $2)", name, sha256)
    _log.info("migrated", extra={"migration": name})
    return True
