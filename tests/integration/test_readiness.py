"""/readyz of each role: what it needs is real, and comes and goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from citybrain import loops, runner, serving, vitals
from citybrain.access import authenticate
from citybrain.aggregate import worker as aggregate
from citybrain.aggregate.rollup import Rollup
from citybrain.aggregate.worker import AggregateWorker
from citybrain.bus.postgres import PostgresBus, open_postgres_bus
from citybrain.deliver.worker import Deliverer
from citybrain.ingest import beat
from citybrain.ingest import heartbeat as heartbeats
from citybrain.profiles import CurrentCity, current_rules, load, read_city
from citybrain.serving import Readiness, beating, working
from citybrain.settings import read_settings
from citybrain.store import pool as pools
from citybrain.store.pool import Pool, open_pool
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC
from delivering import LOOPBACK
from postgres import TEMPLATE, running_server
from records import T0, occupancy, records, small_city
from small_city import small_city_files


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with open_pool(database, max_size=4) as found:
        yield found


@pytest.fixture
async def bus(pool: Pool) -> AsyncIterator[PostgresBus]:
    async with open_postgres_bus(pool, Metrics(), 4) as found:
        yield found


@asynccontextmanager
async def at_work(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def becomes(readiness: Readiness, reason: str | None) -> None:
    """Wait until it says so: the beginning of a reason, None for ready."""
    said = readiness.why_not()
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            while not (said == reason or (said and reason and reason in said)):
                await asyncio.sleep(0.02)
                said = readiness.why_not()
    assert said == reason or (said and reason and reason in said), said


async def stays_ready(readiness: Readiness, for_s: float) -> None:
    end = asyncio.get_running_loop().time() + for_s
    while asyncio.get_running_loop().time() < end:
        assert readiness.why_not() is None
        await asyncio.sleep(0.02)


async def test_ingest_is_ready_while_heartbeats_reach_the_bus(bus: PostgresBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "PERIOD_S", 0.05)
    monkeypatch.setattr(heartbeats, "RETRY_S", 0.05)
    monkeypatch.setattr(serving, "NO_HEARTBEAT_S", 1.0)
    metrics, readiness = Metrics(), Readiness()
    readiness.needs(beating(metrics.loops))
    assert readiness.why_not() == "no heartbeat is on the bus yet"
    async with at_work(beat(bus, now, "ingest-1", metrics)):
        await becomes(readiness, None)
        accepted = metrics.registry.get_sample_value("citybrain_stage_through_seconds", {"stage": "accepted"})
        assert accepted is not None
        assert accepted == pytest.approx(now().timestamp(), abs=5)
        await bus._pool.execute("alter table bus_partition rename to bus_partition_gone")
        monkeypatch.setattr(pools, "_GONE", (*pools._GONE, pools.asyncpg.UndefinedTableError))  # as if the server were gone
        await becomes(readiness, "no heartbeat has reached the bus for 1 s")
        await bus._pool.execute("alter table bus_partition_gone rename to bus_partition")
        await becomes(readiness, None)
    assert (metrics.registry.get_sample_value("citybrain_ingest_heartbeat_seconds_count") or 0) > 1


async def test_ingest_needs_keys_too_which_every_process_reads_though_nobody_asks(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = runner._Place(database, "cluster", "http://127.0.0.1:1", "ingest-1")
    async with runner._process(place, read_settings({}), CurrentCity(small_city())) as process:
        work = runner._ingest_tasks(process)
        assert "keys have not been read yet" in (process.readiness.why_not() or "")
        async with at_work(*work, *runner._own_tasks(process)):
            await becomes(process.readiness, None)
            monkeypatch.setattr(authenticate, "OUTAGE_GRACE_S", -1.0)
            await becomes(process.readiness, "keys cannot be checked: the database has not answered for")


async def test_aggregate_is_ready_once_it_is_a_member_be_it_without_partitions(pool: Pool, bus: PostgresBus) -> None:
    for n in range(5):  # more than there are partitions
        metrics, readiness = Metrics(), Readiness()
        readiness.needs(working(metrics.loops, "aggregate", "rollup"))
        assert readiness.why_not() == "aggregate has not come round yet; rollup has not come round yet"
        membership = await bus.join(EVENTS_TOPIC, "aggregate", f"member {n}")
        worker = AggregateWorker(pool, bus, EVENTS_TOPIC, small_city, metrics, membership=membership)
        async with at_work(worker.run(), Rollup(pool, small_city, metrics, owner=UUID(int=n)).run()):
            await becomes(readiness, None)


async def test_aggregate_that_fails_at_what_is_its_own_is_not_ready_and_says_why(
    pool: Pool, bus: PostgresBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "FAILING_S", 0.2)
    monkeypatch.setattr(aggregate, "RETRY_S", (0.05,))
    metrics, readiness = Metrics(), Readiness()
    readiness.needs(working(metrics.loops, "aggregate"))
    async with at_work(AggregateWorker(pool, bus, EVENTS_TOPIC, small_city, metrics).run()):
        await becomes(readiness, None)
        await pool.execute("alter table asset_state rename to asset_state_gone")
        await bus.append(EVENTS_TOPIC, records([occupancy("e1", T0, 1)]))
        await becomes(readiness, 'aggregate fails: relation "asset_state" does not exist')
        await pool.execute("alter table asset_state_gone rename to asset_state")
        await becomes(readiness, None)


async def test_alert_is_ready_once_there_are_rules(pool: Pool, tmp_path: Path) -> None:
    rules, readiness = await current_rules(pool, Metrics()), Readiness()
    readiness.needs(rules.why_not)
    assert readiness.why_not() == "no rules are loaded: load a profile with `citybrain city load DIR`"
    for name, content in small_city_files().items():
        (tmp_path / name).write_bytes(content)
    await load(pool, *read_city(tmp_path))
    await rules.look(pool)
    assert readiness.why_not() is None


async def test_deliver_is_ready_while_its_loop_runs_whatever_receivers_do(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "STUCK_S", 1.0)
    metrics, readiness = Metrics(), Readiness()
    readiness.needs(working(metrics.loops, "deliver"))
    assert readiness.why_not() == "deliver has not come round yet"
    async with at_work(Deliverer(pool, LOOPBACK, metrics, now).run()):
        await becomes(readiness, None)
        held = [await pool.acquire() for _ in range(3)]
        await becomes(readiness, None)
        held.append(await pool.acquire())  # it waits for a connection
        await becomes(readiness, "deliver has not come round for 1 s")
        for one in held:
            await pool.release(one)
        await becomes(readiness, None)


@pytest.mark.timeout(60)
async def test_api_is_ready_while_the_database_answers_and_one_late_answer_is_no_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "LOOK_S", 0.05)
    monkeypatch.setattr(vitals, "TABLES_EVERY_S", 0.1)
    monkeypatch.setattr(serving, "SILENT_S", 2.0)
    metrics, readiness = Metrics(), Readiness()
    readiness.needs(readiness.database)
    assert readiness.why_not() == "the database has not answered yet"
    with running_server(tmp_path) as server:
        async with open_pool(server.dsn(TEMPLATE), max_size=2) as pool:
            vitals.show_pools({"working": pool}, metrics)
            ahead = vitals.watch_database(pool, readiness, metrics, lambda: now() + timedelta(seconds=90))
            async with at_work(ahead, vitals.feel_the_loop(metrics)):
                await becomes(readiness, None)
                held = [await pool.acquire(), await pool.acquire()]
                await stays_ready(readiness, 1.5)
                told = metrics.registry.get_sample_value
                assert told("citybrain_pool_connections", {"pool": "working", "state": "used"}) == told(
                    "citybrain_pool_limit", {"pool": "working"}
                )
                for one in held:
                    await pool.release(one)
                await becomes(readiness, None)
                await pool.execute("delete from migration where name = '0007_heartbeat.sql'")
                await becomes(readiness, "the database lacks 0007_heartbeat.sql: run `citybrain migrate`")
                await pool.execute(
                    "insert into migration (name, sha256) values ('0007_heartbeat.sql', ''), ('9999_later.sql', '')"
                )
                await becomes(readiness, None)  # a database that is newer is no reason: an upgrade goes on around us
                await asyncio.to_thread(asyncio.run, server.stop())
                await becomes(readiness, "the database has not answered for 2 s")
                await asyncio.to_thread(asyncio.run, server.start())
                await becomes(readiness, None)
    assert (told("citybrain_database_answer_seconds_sum") or 0) > 1.4  # it waited for a connection
    assert told("citybrain_clock_skew_seconds") == pytest.approx(90, abs=1)


async def test_what_blocks_the_event_loop_shows_as_its_lag() -> None:
    metrics = Metrics()
    async with at_work(vitals.feel_the_loop(metrics)):
        await asyncio.sleep(0.01)
        time.sleep(0.7)  # noqa: ASYNC251 - on purpose
        await asyncio.sleep(0.05)
    assert (metrics.registry.get_sample_value("citybrain_event_loop_lag_seconds_sum") or 0) > 0.3
