"""Invariant 3: one owner at a time. Whoever is overtaken drops everything; whoever is cut off begins again by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from citybrain import vitals
from citybrain.aggregate.batch import Fenced
from citybrain.aggregate.rollup import Rollup, lease_of
from citybrain.aggregate.shards import ALL
from citybrain.aggregate.worker import AggregateWorker
from citybrain.bus.port import Record
from citybrain.bus.postgres import open_postgres_bus
from citybrain.city import City
from citybrain.store import batches, hung, leases
from citybrain.store.pool import connect, open_pool
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC
from pipeline import Pipeline, pipeline
from records import CITY, GRIDS, T0, minutes_later, occupancy, record, records, small_city

LEASES = [lease_of(shard) for shard in sorted(ALL)]


def lots(count: int, round_no: int = 0) -> list[Record]:
    """Readings of several lots, so that every partition gets some."""
    return records(
        occupancy(f"{round_no}-{n}", minutes_later(n + round_no), n % 7, subject=f"lot-{n % 9}", area=GRIDS[n % 9 % 8])
        for n in range(count)
    )


@asynccontextmanager
async def another(dsn: str, profile: City) -> AsyncIterator[Pipeline]:
    """A second process of the role: pool, bus, worker and rollup of its own."""
    metrics = Metrics()
    async with open_pool(dsn, max_size=4) as pool, open_postgres_bus(pool, metrics, 4) as bus:
        worker = AggregateWorker(pool, bus, EVENTS_TOPIC, lambda: profile, metrics)
        yield Pipeline(pool, bus, worker, Rollup(pool, lambda: profile, metrics, owner=UUID(int=2)))


async def until(asked: Callable[[], Awaitable[bool]], limit_s: float = 20) -> None:
    async with asyncio.timeout(limit_s):
        while not await asked():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(*loops: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def counts(city: Pipeline) -> tuple[int, int]:
    """Readings of the whole city by its minutes, and events stored."""
    found = await city.rows("1m", "parking.occupied", CITY, leaf=False)
    return sum(row["count"] for row in found), int(await city.pool.fetchval("select count(*) from event"))


async def test_of_two_workers_on_the_same_records_one_is_fenced_and_leaves_nothing(database: str) -> None:
    profile = small_city()
    async with pipeline(database, profile) as one, another(database, profile) as two:
        assert not await one.worker.step()
        assert not await two.worker.step()
        await one.post(lots(100))
        outcomes = await asyncio.gather(one.worker.step(), two.worker.step(), return_exceptions=True)
        assert [isinstance(outcome, Fenced) for outcome in outcomes if outcome is not True] == [True]
        assert await one.rollup.step()
        assert await one.figures() == (100, 100, 0, 0, 0)
        assert await counts(one) == (100, 100)


@pytest.mark.long
@pytest.mark.timeout(90)
async def test_two_workers_and_two_rollups_that_race_count_every_event_once(database: str) -> None:
    profile = small_city()
    async with pipeline(database, profile) as one, another(database, profile) as two:
        async with running(one.worker, two.worker, one.rollup, two.rollup):
            for round_no in range(25):
                await one.post(lots(40, round_no) + lots(5, max(0, round_no - 1)))
                await asyncio.sleep(0.01)
            await until(lambda: _has(one, 25 * 45))
            await until(lambda: _is_clean(one))
        accepted, stored, repeated, conflicts, dead = await one.figures()
        assert (accepted, stored, repeated, conflicts, dead) == (25 * 45, 25 * 40, 25 * 5, 0, 0)
        assert await counts(one) == (1000, 1000)


async def _has(city: Pipeline, accepted: int) -> bool:
    return (await city.figures())[0] == accepted


async def _is_clean(city: Pipeline) -> bool:
    return not await city.pool.fetchval("select count(*) from dirty")


async def test_one_rollup_has_the_shards_and_the_other_waits_until_they_are_given_up(database: str) -> None:
    profile = small_city()
    async with pipeline(database, profile) as one, another(database, profile) as two:
        await one.post(lots(20))
        await one.worker.step()
        assert await one.rollup.step()
        await one.post(lots(20, 1))
        await one.worker.step()
        assert not await two.rollup.step()
        owners = await one.pool.fetch("select distinct owner from lease where name = any ($1::text[])", LEASES)
        assert [row["owner"] for row in owners] == [UUID(int=1)]
        async with one.pool.acquire() as connection:
            await leases.give(connection, LEASES, UUID(int=1))
        assert await two.rollup.step()
        assert await counts(one) == (40, 40)


async def test_a_pass_of_which_one_shard_was_stolen_does_nothing(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with pipeline(database, small_city()) as city:
        await city.post(lots(20))
        await city.worker.step()
        take = leases.take

        async def stolen(connection: Any, names: Any, owner: UUID, seconds: int) -> dict[str, int]:
            fences = await take(connection, names, owner, seconds)
            await city.pool.execute("update lease set until = now() - interval '1 s' where name = $1", LEASES[7])
            assert await take(connection, LEASES[7:8], UUID(int=9), 60) == {LEASES[7]: 2}
            return fences

        monkeypatch.setattr(leases, "take", stolen)
        before = await city.pool.fetchval("select count(*) from dirty")
        assert not await city.rollup.step()
        assert await city.pool.fetchval("select count(*) from dirty") == before > 0
        assert await city.rows("1m", "parking.occupied", CITY) == []


async def test_nobody_steals_a_lease_while_a_pass_is_under_way(database: str) -> None:
    async with pipeline(database, small_city()) as city, city.pool.acquire() as one, city.pool.acquire() as two:
        mine = leases.Leases(UUID(int=1))
        assert await mine.taken(one, LEASES[:1]) == {LEASES[0]}
        await one.execute("update lease set until = now() - interval '1 s'")
        async with one.transaction():
            assert await mine.held(one)
            assert await leases.take(two, LEASES[:1], UUID(int=2), 5) == {}
        assert await leases.take(two, LEASES[:1], UUID(int=2), 5) == {LEASES[0]: 2}


@pytest.mark.parametrize("seconds_in", [0.0, 0.003, 0.01, 0.03])
async def test_a_worker_and_a_rollup_whose_connections_are_killed_go_on_by_themselves(database: str, seconds_in: float) -> None:
    profile = small_city()
    async with pipeline(database, profile) as watcher, another(database, profile) as city:
        async with running(city.worker, city.rollup):
            for round_no in range(6):
                await watcher.post(lots(200, round_no))
                await asyncio.sleep(seconds_in)
                await _kill_others(watcher)
            await until(lambda: _has(watcher, 1200))
            await until(lambda: _is_clean(watcher))
        assert await watcher.figures() == (1200, 1200, 0, 0, 0)
        assert await counts(watcher) == (1200, 1200)


async def _kill_others(watcher: Pipeline) -> None:
    """All connections that work inside a transaction or a statement, but our own."""
    await watcher.pool.fetch(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'"
    )


Statement = Callable[[Any], Awaitable[Any]]


async def _moved(connection: Any) -> None:
    assert await batches.move(connection, EVENTS_TOPIC, [batches.Move(0, 0, 1, None, None)])


async def _leased(connection: Any) -> None:
    assert await leases.hold(connection, dict.fromkeys(LEASES, 1), UUID(int=9))


@asynccontextmanager
async def hanging(dsn: str, city: Pipeline, holds: Statement, statement: Statement) -> AsyncIterator[int]:
    """A process that hangs in the middle of a statement and holds what others need. The process id of its session."""
    connection = await connect(dsn)
    pid, transport = connection.get_server_pid(), connection._transport

    async def hang() -> None:
        async with connection.transaction():
            await holds(connection)
            await statement(connection)

    task = asyncio.create_task(hang())
    try:
        await until(lambda: _waits_for_its_client(city, pid))
        yield pid
    finally:
        transport.resume_reading()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        connection.terminate()


async def _waits_for_its_client(city: Pipeline, pid: int) -> bool:
    asked = "select state = 'active' and wait_event_type = 'Client' from pg_stat_activity where pid = $1"
    return bool(await city.pool.fetchval(asked, pid))


async def _somebody_waits_for(city: Pipeline, pid: int) -> bool:
    asked = "select exists (select from pg_stat_activity where $1 = any (pg_blocking_pids(pid)))"
    return bool(await city.pool.fetchval(asked, pid))


async def _is_gone(city: Pipeline, pid: int) -> bool:
    return not await city.pool.fetchval("select count(*) from pg_stat_activity where pid = $1", pid)


async def _half_a_copy(connection: Any) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b"half,"
        await asyncio.Event().wait()

    await connection.copy_to_table("migration", source=source(), columns=("name", "sha256"), format="csv")


async def _unread_rows(connection: Any, more: str = "") -> None:
    connection._transport.pause_reading()
    await connection.execute("select repeat('x', 1000) from generate_series(1, 100000)" + more)


@pytest.mark.parametrize("statement", [_half_a_copy, _unread_rows])
async def test_a_worker_that_hangs_in_the_middle_of_a_statement_gives_way_to_its_successor(
    database: str, statement: Statement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "HUNG_EVERY_S", 0.1)
    profile, metrics = small_city(), Metrics()
    async with pipeline(database, profile) as one, another(database, profile) as two:
        assert not await one.worker.step()
        await one.post(lots(100))
        async with hanging(database, one, _moved, statement) as pid, asyncio.TaskGroup() as tasks:
            step = tasks.create_task(two.worker.step())
            await until(lambda: _somebody_waits_for(one, pid))
            freeing = tasks.create_task(vitals.free_what_hangs(two.pool, metrics, hung.Hung(0.5)))
            async with asyncio.timeout(20):
                assert await step
            freeing.cancel()
            await until(lambda: _is_gone(one, pid))
        assert metrics.registry.get_sample_value("citybrain_hung_sessions_ended_total") == 1
        assert await two.rollup.step()
        assert await two.figures() == (100, 100, 0, 0, 0)
        assert await counts(two) == (100, 100)


async def test_an_owner_that_hangs_with_leases_gives_them_up(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await city.post(lots(20))
        await city.worker.step()
        async with city.pool.acquire() as other:
            await leases.Leases(UUID(int=9)).taken(other, LEASES)
            await other.execute("update lease set until = now()")
            async with hanging(database, city, _leased, _unread_rows) as pid:
                assert not await city.rollup.step()
                assert await hung.Hung(0).end(other) == [pid]
                await until(lambda: _is_gone(city, pid))
            assert await city.rollup.step()


async def test_who_is_slow_and_comes_on_is_left_alone(database: str) -> None:
    more = asyncio.Event()

    async def slow_copy(connection: Any) -> None:
        async def source() -> AsyncIterator[bytes]:
            while True:
                yield b"a name,a sum\n" * 50_000
                await more.wait()
                more.clear()

        await connection.execute("create temporary table slow (name text, sum text)")
        await connection.copy_to_table("slow", source=source(), format="csv")

    async with pipeline(database, small_city()) as city, city.pool.acquire() as other:
        assert not await city.worker.step()
        async with hanging(database, city, _moved, slow_copy) as pid:
            watch = hung.Hung(1)
            for _ in range(20):
                assert await watch.end(other) == []
                more.set()
                await asyncio.sleep(0.1)
            await until(lambda: _ends(watch, other, pid))  # now it stands


async def _ends(watch: hung.Hung, connection: Any, pid: int) -> bool:
    return await watch.end(connection) == [pid]


async def test_who_only_reads_may_take_all_the_time_he_wants(database: str) -> None:
    async with pipeline(database, small_city()) as city, city.pool.acquire() as other:
        assert not await city.worker.step()
        async with hanging(database, city, _nothing, lambda one: _unread_rows(one, ", bus_position limit 100000")):
            assert await hung.Hung(0).end(other) == []


async def _nothing(connection: Any) -> None:
    """Holds nothing."""


async def test_a_worker_and_a_rollup_that_number_the_same_series_at_once_go_on(database: str) -> None:
    profile = small_city()
    async with pipeline(database, profile) as city:
        async with running(city.worker, city.rollup):
            for round_no in range(10):
                await city.post(
                    [
                        record(occupancy(f"{round_no}-{n}", T0 + timedelta(days=round_no), 1, subject=f"s{n}", area=area))
                        for n, area in enumerate((GRIDS[0], GRIDS[0][:12], GRIDS[0][:9], GRIDS[0][:6], CITY, GRIDS[7]))
                    ]
                )
            await until(lambda: _has(city, 60))
            await until(lambda: _is_clean(city))
        assert await counts(city) == (60, 60)
