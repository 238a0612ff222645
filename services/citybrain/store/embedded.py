"""The embedded mode's PostgreSQL: one server for one data folder. Called by runner (up) and by commands with --data.

In DIR: lock (who runs it), postgres/ (the cluster), run/ (its socket), postgres.log. Nothing listens on the network.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from citybrain.errors import CitybrainError, Unavailable
from citybrain.store.embedded_lock import FolderInUse, FolderUnusable, Holder, folder_lock, make_folder
from citybrain.store.embedded_programs import ServerFailed
from citybrain.store.embedded_server import Server, running_sockets, socket_dsn
from citybrain.store.embedded_settings import memory_bytes, settings

DATABASE = "citybrain"
_POLL_S = 0.2
_FIRST_DELAY_S, _LONGEST_DELAY_S, _STEADY_AFTER_S = 0.2, 30.0, 60.0
_REACH_TIMEOUT_S = 30.0

_log = logging.getLogger("citybrain.store.embedded")


class NoCity(CitybrainError):
    """The folder holds no embedded city."""


class EmbeddedPostgres:
    """One PostgreSQL server of one data folder. `dsn` reaches its database from asyncpg and libpq."""

    def __init__(self, server: Server) -> None:
        self.dsn = server.dsn(DATABASE)
        self._server = server
        self._stopped = False

    async def start(self) -> None:
        """Return when the database is there and answers. Raises ServerFailed, FolderUnusable."""
        try:
            await self._server.start()
            await self._make_database()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ServerFailed(f"PostgreSQL of {self._server.folder} cannot be started: {error}") from error

    async def keep_running(self) -> None:
        """Start the server again whenever it dies, at growing distances when it dies at once. Runs until cancelled."""
        delay_s, started = _FIRST_DELAY_S, time.monotonic()
        while not self._stopped:
            await asyncio.sleep(_POLL_S)
            self._server.bound_log()
            if self._stopped or self._server.is_running():
                continue
            if time.monotonic() - started > _STEADY_AFTER_S:
                delay_s = _FIRST_DELAY_S
            _log.error("postgres_died", extra={"folder": str(self._server.folder), "restart_in_s": delay_s})
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
            started = time.monotonic()
            await self._start_again()

    async def stop(self) -> None:
        """Stop the server, within six seconds; keep_running ends."""
        self._stopped = True
        await self._server.stop()

    async def _make_database(self) -> None:
        connection = await asyncpg.connect(self._server.dsn("postgres"), timeout=30, command_timeout=60)
        try:
            if not await connection.fetchval("select true from pg_database where datname = $1", DATABASE):
                await connection.execute(f"create database {DATABASE}")
        finally:
            await connection.close(timeout=5)

    async def _start_again(self) -> None:
        try:
            await self._server.start()
        except (CitybrainError, OSError) as error:
            _log.error("postgres_restart_failed", extra={"reason": str(error)})
        else:
            _log.warning("postgres_restarted", extra={"folder": str(self._server.folder)})


@asynccontextmanager
async def embedded_postgres(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """The server of a data folder, made if new; cancel keep_running before leaving.

    Raises FolderInUse, FolderUnusable, ServerFailed.
    """
    async with _held(make_folder(folder), Holder.CITY) as postgres:
        yield postgres


@asynccontextmanager
async def database_of(folder: Path) -> AsyncIterator[str]:
    """The dsn of the city that runs in a folder, or of its server run for the time of this command.

    Raises NoCity, FolderInUse, FolderUnusable, ServerFailed, Unavailable.
    """
    async with AsyncExitStack() as stack:
        yield await _reach(_city_folder(folder), stack)


def program_environment(dsn: str) -> dict[str, str]:
    """The variables by which PostgreSQL's own programs reach the database of such a dsn."""
    parts = urlsplit(dsn)
    place = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return {"PGHOST": place["host"], "PGPORT": place["port"], "PGUSER": parts.username or "", "PGDATABASE": parts.path[1:]}


def _city_folder(folder: Path) -> Path:
    try:
        found = (folder / "postgres").is_dir()
    except OSError as error:
        raise FolderUnusable(f"{folder} cannot be read: {error.strerror}") from error
    if not found:
        raise NoCity(f"{folder} holds no city: citybrain up --data {folder} makes one")
    return folder.resolve()


async def _reach(folder: Path, stack: AsyncExitStack) -> str:
    """Take a free folder, share a running city, wait for a city that starts and for another command's end."""
    deadline = time.monotonic() + _REACH_TIMEOUT_S
    while True:
        try:
            return (await stack.enter_async_context(_held(folder, Holder.COMMAND))).dsn
        except FolderInUse as error:
            in_use = error
        if in_use.holder is Holder.CITY and (dsn := await _running_dsn(folder)):
            return dsn
        if time.monotonic() > deadline:
            if in_use.holder is Holder.COMMAND:
                raise in_use
            raise Unavailable(f"the city in {folder} runs, but its database does not answer")
        await asyncio.sleep(_POLL_S)


async def _running_dsn(folder: Path) -> str | None:
    sockets = running_sockets(folder / "postgres")
    if sockets is None:
        return None
    dsn = socket_dsn(sockets, DATABASE)
    try:
        connection = await asyncpg.connect(dsn, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    await connection.close(timeout=5)
    return dsn


@asynccontextmanager
async def _held(folder: Path, holder: Holder) -> AsyncIterator[EmbeddedPostgres]:
    with folder_lock(folder, holder):
        server = Server(folder, settings(memory_bytes()))
        postgres = EmbeddedPostgres(server)
        try:
            await postgres.start()
            yield postgres
        finally:
            await postgres.stop()
