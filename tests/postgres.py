"""A real PostgreSQL for the tests, and fresh databases in it. Used by conftest.py. Data here may be lost, so no fsync.

With CITYBRAIN_TEST_TIMESCALE_URL fresh databases are made there instead, with hypertables in place of partitions.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from citybrain.store.embedded_server import Server
from citybrain.store.embedded_settings import settings
from citybrain.store.migrate import migrate
from citybrain.store.timescale import adopt

TEMPLATE = "template_city"
TIMESCALE_URL = os.environ.get("CITYBRAIN_TEST_TIMESCALE_URL")
_MIB = 1024 * 1024
_NO_DURABILITY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


@dataclass(frozen=True, slots=True)
class Databases:
    """Where fresh databases are made: the dsn of a name, and a migrated template."""

    dsn: Callable[[str], str]
    template: str


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """A server in an existing folder, with a migrated template."""
    server = Server(folder.resolve(), settings(512 * _MIB) | _NO_DURABILITY)
    try:
        _await(_prepare(server))
        yield server
    finally:
        _await(server.stop())


@contextmanager
def timescale(url: str) -> Iterator[Databases]:
    """A template on a server with TimescaleDB, dropped afterwards."""
    databases = Databases(lambda name: urlsplit(url)._replace(path=f"/{name}").geturl(), f"template_{uuid4().hex}")
    try:
        _await(_prepare_timescale(databases))
        yield databases
    finally:
        _await(_execute(databases, f"drop database if exists {databases.template} with (force)"))


@asynccontextmanager
async def fresh_database(databases: Databases) -> AsyncIterator[str]:
    """The dsn of a database like the template, dropped afterwards."""
    name = f"test_{uuid4().hex}"
    await _execute(databases, f"create database {name} template {databases.template}")
    try:
        yield databases.dsn(name)
    finally:
        await _execute(databases, f"drop database {name} with (force)")


async def cut_by_days(dsn: str) -> None:
    """With TimescaleDB, chunks of one day, so that a month's end is a chunk's too. PostgreSQL's partitions are months anyway."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        async with connection.transaction():
            await adopt(connection, timedelta(days=1))
    finally:
        await connection.close(timeout=5)


async def _prepare(server: Server) -> None:
    await server.start()
    await _execute(Databases(server.dsn, TEMPLATE), f"create database {TEMPLATE}")
    await migrate(server.dsn(TEMPLATE))


async def _prepare_timescale(databases: Databases) -> None:
    """TimescaleDB's own workers visit every database that has the extension, and nobody may be in a template that is copied."""
    name = databases.template
    await _execute(databases, f"create database {name}")
    await migrate(databases.dsn(name))
    await _execute(databases, f"alter database {name} allow_connections false")
    await _execute(databases, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")


async def _execute(databases: Databases, statement: str) -> None:
    connection = await asyncpg.connect(databases.dsn("postgres"), timeout=10)
    try:
        await connection.execute(statement, timeout=20)
    finally:
        await connection.close(timeout=5)


def _await(work: Coroutine[object, object, None]) -> None:
    """Run to the end in a loop of its own, on a thread of its own: pytest's loop may be there already."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, work).result()
