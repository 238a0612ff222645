"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from citybrain.store.embedded_server import Server
from postgres import fresh_database, running_server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One PostgreSQL for the whole run, stopped at its end."""
    with running_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
async def database(postgres_server: Server) -> AsyncIterator[str]:
    """The dsn of a fresh database with this version's tables, dropped afterwards."""
    async with fresh_database(postgres_server) as dsn:
        yield dsn
