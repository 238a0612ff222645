"""A real PostgreSQL for the tests, and fresh databases in it. Used by conftest.py. Data here may be lost, so no fsync."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg

from citybrain.store.embedded_server import Server
from citybrain.store.embedded_settings import settings
from citybrain.store.migrate import migrate

TEMPLATE = "template_city"
_MIB = 1024 * 1024
_NO_DURABILITY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """A server in an existing folder, with a migrated template."""
    server = Server(folder.resolve(), settings(512 * _MIB) | _NO_DURABILITY)
    try:
        _await(_prepare(server))
        yield server
    finally:
        _await(server.stop())


@asynccontextmanager
async def fresh_database(server: Server) -> AsyncIterator[str]:
    """The dsn of a database like the template, dropped afterwards."""
    name = f"test_{uuid4().hex}"
    await _execute(server, f"create database {name} template {TEMPLATE}")
    try:
        yield server.dsn(name)
    finally:
        await _execute(server, f"drop database {name} with (force)")


async def _prepare(server: Server) -> None:
    await server.start()
    await _execute(server, f"create database {TEMPLATE}")
    await migrate(server.dsn(TEMPLATE))


async def _execute(server: Server, statement: str) -> None:
    connection = await asyncpg.connect(server.dsn("postgres"), timeout=10)
    try:
        await connection.execute(statement, timeout=20)
    finally:
        await connection.close(timeout=5)


def _await(work: Coroutine[object, object, None]) -> None:
    """Run to the end in a loop of its own, on a thread of its own: pytest's loop may be there already."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, work).result()
