"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings

from citybrain.store.embedded_server import Server
from kafka_server import KafkaServer, can_start, leave_out
from postgres import TEMPLATE, TIMESCALE_URL, Databases, fresh_database, running_server, timescale

settings.register_profile("citybrain", deadline=None)  # machines are shared: pytest's timeout bounds a test, not each example
settings.load_profile("citybrain")


def pytest_report_header() -> str:
    """What the tests that store something run on."""
    if TIMESCALE_URL is None:
        return "store: plain PostgreSQL. CITYBRAIN_TEST_TIMESCALE_URL is not set: nothing runs on a TimescaleDB server"
    return "store: TimescaleDB of CITYBRAIN_TEST_TIMESCALE_URL"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How long the long tests took, whose time is bounded."""
    reports = [one for found in terminalreporter.stats.values() for one in found if isinstance(one, pytest.TestReport)]
    for marker, name in (("long", "long tests"), ("cluster", "of them, of cluster mode,")):
        mine = [one for one in reports if marker in one.keywords]
        if mine:
            tests, minutes = len({one.nodeid for one in mine}), sum(one.duration for one in mine) / 60
            terminalreporter.write_line(f"{tests} {name} took {minutes:.1f} minutes")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One PostgreSQL for the whole run, stopped at its end."""
    with running_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres_server: Server) -> Iterator[Databases]:
    """Where fresh databases come from: the server with TimescaleDB that is given, else our own PostgreSQL."""
    if TIMESCALE_URL is None:
        yield Databases(postgres_server.dsn, TEMPLATE)
    else:
        with timescale(TIMESCALE_URL) as given:
            yield given


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[str]:
    """The dsn of a fresh database with this version's tables, dropped afterwards."""
    async with fresh_database(databases) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """One Apache Kafka for the whole run, which tests may kill and start again."""
    if not can_start():
        leave_out("no Apache Kafka can be started here (Java with Maven, or Docker): tests of Kafka are left out")
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka_servers(request: pytest.FixtureRequest) -> str:
    """host:port of an Apache Kafka: the one that is given, else our own."""
    return os.environ.get("CITYBRAIN_TEST_KAFKA") or request.getfixturevalue("kafka_server").servers
