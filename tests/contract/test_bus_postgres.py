"""The Postgres bus keeps the port's promises, and its own: nothing is missed however commits interleave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from bus_suite import PARTITIONS, TOPIC, BusSuite, numbered, read_all

from citybrain.bus.port import BusFull, BusUnavailable
from citybrain.bus.postgres import MAX_WAITING_BYTES, PostgresBus, open_postgres_bus
from citybrain.store.pool import open_pool
from citybrain.store.queries import load
from citybrain.telemetry import Metrics

COMMITTERS, EACH = 4, 150


@pytest.fixture
async def bus(database: str) -> AsyncIterator[PostgresBus]:
    async with open_pool(database, max_size=8) as pool, open_postgres_bus(pool, Metrics(), PARTITIONS) as made:
        yield made


class TestPostgresBus(BusSuite):
    """The suite over PostgreSQL."""


async def test_four_committers_out_of_order_and_a_reader_that_misses_nothing(database: str, bus: PostgresBus) -> None:
    """Committers hold their transactions open for different times; the reader follows with one position."""
    await bus.partitions(TOPIC)
    append = load("bus")["append"]

    async def commit(writer: int) -> None:
        connection = await asyncpg.connect(database)
        for n in range(EACH):
            async with connection.transaction():
                await connection.fetch(append, TOPIC, [0], [1], [f"{writer}-{n}".encode()])
                await connection.execute("select pg_sleep($1)", (writer * 7 + n) % 5 / 2000)
        await connection.close()

    assert len(await _followed(database, commit, _BUS_READ)) == COMMITTERS * EACH


async def test_the_same_reader_over_a_plain_sequence_misses_rows(database: str) -> None:
    """Why the bus does not read `id > last` over a sequence: this is what it would lose."""
    setup = await asyncpg.connect(database)
    await setup.execute("create table plain (id bigserial primary key, value text)")
    await setup.close()

    async def commit(writer: int) -> None:
        connection = await asyncpg.connect(database)
        for n in range(EACH):
            async with connection.transaction():
                await connection.execute("insert into plain (value) values ($1)", f"{writer}-{n}")
                await connection.execute("select pg_sleep($1)", (writer * 7 + n) % 5 / 2000)
        await connection.close()

    assert len(await _followed(database, commit, "select id, value from plain where id > $1 order by id")) < COMMITTERS * EACH


_BUS_READ = (
    "select first_offset, convert_from(payload, 'utf8') from bus_segment"
    f" where topic = '{TOPIC}' and partition = 0 and first_offset > $1 order by first_offset"
)


async def _followed(database: str, commit: object, query: str) -> list[str]:
    """What a reader with one position has seen when all committers are done and it has looked once more."""
    assert callable(commit)
    reader = await asyncpg.connect(database)
    writing = asyncio.gather(*(commit(writer) for writer in range(COMMITTERS)))
    last, seen = -1, []
    while True:
        done = writing.done()
        for row in await reader.fetch(query, last):
            last = row[0]
            seen.append(row[1])
        if done:
            break
        await asyncio.sleep(0)
    await writing
    await reader.close()
    return seen


async def test_too_much_waiting_is_refused_at_once(bus: PostgresBus) -> None:
    big = [numbered(1)[0]._replace(value=b"x" * (MAX_WAITING_BYTES // 2))]
    await bus.partitions(TOPIC)
    results = await asyncio.gather(*(bus.append(TOPIC, big) for _ in range(6)), return_exceptions=True)
    assert any(isinstance(result, BusFull) for result in results)
    assert results[0] is None


async def test_a_dead_database_is_told_and_the_bus_works_again_afterwards(database: str, bus: PostgresBus) -> None:
    await bus.append(TOPIC, numbered(3))
    name = database.split("/")[3].split("?", maxsplit=1)[0]
    admin = await asyncpg.connect(database.replace(name, "postgres"))
    await admin.execute(f"alter database {name} allow_connections false")
    await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
    with pytest.raises(BusUnavailable):
        await bus.append(TOPIC, numbered(3))
    await admin.execute(f"alter database {name} allow_connections true")
    await admin.close()
    await bus.append(TOPIC, numbered(2))
    assert sum(map(len, (await read_all(bus)).values())) == 5


async def test_trimming_keeps_what_a_reader_has_not_read(database: str, bus: PostgresBus) -> None:
    for _ in range(3):
        await bus.append(TOPIC, numbered(10, key=b"one"))
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert await bus.trim(TOPIC, later) == 0, "nobody has read anything"
    connection = await asyncpg.connect(database)
    await connection.execute(
        "insert into bus_position (role, topic, partition, next_offset)"
        " select 'reader', $1, partition, least(next_offset, 20) from bus_partition",
        TOPIC,
    )
    await connection.close()
    assert await bus.trim(TOPIC, later - timedelta(hours=1)) == 0, "too young"
    assert await bus.trim(TOPIC, later) == 20
