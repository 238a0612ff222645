"""From records on the bus to rows: once, exact, derived, whatever the order."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from citybrain.aggregate import worker
from citybrain.aggregate.batch import BatchContext
from citybrain.aggregate.decode import Decoded
from citybrain.aggregate.worker import AggregateWorker
from citybrain.bus.members import FixedMembership
from citybrain.store.batches import Figures
from citybrain.store.pool import Connection
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC
from pipeline import Pipeline, pipeline
from records import CITY, DISTRICTS, GRIDS, T0, minutes_later, occupancy, record, records, register, small_city


async def test_readings_become_windows_of_the_asset_and_of_every_area_above(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await city.post(
            records([
                occupancy("a", minutes_later(0, 5), 10),
                occupancy("b", minutes_later(0, 50), 20),
                occupancy("c", minutes_later(0, 7), 40, 50, subject="lot-2", area=GRIDS[1]),
                occupancy("d", minutes_later(0, 9), 4, 50, subject="lot-3", area=GRIDS[-1]),
            ])
        )  # fmt: skip
        await city.beat(T0 + timedelta(days=3))
        await city.drain()
        assert await city.figures() == (4, 4, 0, 0, 0)
        for step in ("1m", "1h", "1d"):
            [lot] = [row for row in await city.rows(step, "parking.occupied", leaf=True) if row["subject"] == "lot-1"]
            assert (lot["count"], lot["sum"], lot["min"], lot["max"], lot["last"]) == (2, 30, 10, 20, 20)
            [top] = await city.rows(step, "parking.occupied", CITY)
            assert (top["count"], top["sum"], top["part"] / 10**6, top["subjects"]) == (4, 74, 15 + 40 + 4, 3)
            [ratio] = await city.rows(step, "parking.occupied_ratio", CITY)
            assert ratio["part"] / ratio["weight"] == Decimal(59) / 200
            [district] = await city.rows(step, "parking.occupied", DISTRICTS[0])
            assert (district["count"], district["subjects"], district["last"]) == (3, 2, 20)


async def test_a_repeat_is_dropped_and_other_content_is_a_conflict(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        one = occupancy("a", T0, 10)
        other = occupancy("a", T0 + timedelta(seconds=1), 11)
        await city.post(records([one, one, other]))
        await city.drain()
        await city.post(records([other, one, occupancy("b", T0, 1)]))
        await city.drain()
        assert await city.figures() == (6, 2, 3, 1, 0)
        [minute] = await city.rows("1m", "parking.occupied", leaf=True)
        assert (minute["count"], minute["sum"], minute["revision"]) == (2, 11, 1)


async def test_two_workers_share_the_partitions_and_miss_nothing(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        workers = [
            AggregateWorker(
                city.pool,
                city.bus,
                EVENTS_TOPIC,
                small_city,
                Metrics(),
                membership=FixedMembership(range(share, 4, 2)),
                max_records=100,
            )
            for share in range(2)
        ]
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        for n in range(20):
            await city.post(records([occupancy(f"{n}-{lot}", minutes_later(n), n, subject=f"lot-{lot}") for lot in range(50)]))
        async with asyncio.timeout(20):
            while (await city.figures())[0] < 1000:
                await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while await city.rollup.step():
            pass
        assert await city.figures() == (1000, 1000, 0, 0, 0)
        rows = await city.rows("1m", "parking.occupied", CITY)
        assert [(row["count"], row["subjects"]) for row in rows] == [(50, 50)] * 20


async def test_a_batch_that_takes_too_long_is_stored_in_smaller_parts(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    store = worker.store_batch

    async def slow(connection: Connection, decoded: Decoded, context: BatchContext) -> Figures:
        sizes.append(decoded.records)
        if decoded.records > 20:
            raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")
        return await store(connection, decoded, context)

    monkeypatch.setattr(worker, "store_batch", slow)
    monkeypatch.setattr(worker, "FEWEST_RECORDS", 10)
    monkeypatch.setattr(worker, "RETRY_S", (0.01,))
    async with pipeline(database, small_city()) as city:
        for n in range(20):
            await city.post(records([occupancy(f"{n}-{lot}", minutes_later(n), 1, subject=f"lot-{lot}") for lot in range(10)]))
        one = FixedMembership(range(4))
        task = asyncio.create_task(
            AggregateWorker(city.pool, city.bus, EVENTS_TOPIC, small_city, Metrics(), membership=one, max_records=80).run()
        )
        async with asyncio.timeout(20):
            while (await city.figures())[0] < 200:
                await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await city.figures() == (200, 200, 0, 0, 0)
    assert sizes[0] > 20
    assert [size for size in sizes if size <= 20]


async def test_a_late_reading_rewrites_only_its_own_rows(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await city.beat(T0 + timedelta(days=90))
        await city.post(
            records([occupancy(f"{lot}-{k}", T0 + timedelta(hours=k), k, subject=lot) for lot in ("x", "y") for k in range(50)])
        )
        await city.drain()
        before = {(row["series"], row["start"]): row for row in await city.rows("1h", "parking.occupied")}
        await city.post([record(occupancy("late", T0 + timedelta(hours=7, minutes=40), 99, subject="x"))])
        await city.drain()
        after = {(row["series"], row["start"]): row for row in await city.rows("1h", "parking.occupied")}
        changed = {key for key in after if after[key] != before.get(key)}
        assert {after[key]["start"] for key in changed} == {T0 + timedelta(hours=7)}
        assert len(changed) == 1 + 5  # the asset, and its grid with the four levels above
        assert all(after[key]["revision"] == before[key]["revision"] + 1 for key in changed)


async def test_registers_give_consumption_whatever_their_order_and_a_fall_is_a_reset(database: str) -> None:
    readings = [register(f"r{n}", minutes_later(n), value) for n, value in enumerate([100, 103, 2, 5])]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        async with pipeline(database, small_city()) as city:
            await _clear(city)
            for n in order:
                await city.post([record(readings[n])])
                await city.drain()
            rows = await city.rows("1m", "water.consumption", leaf=True)
            assert [(row["start"], row["sum"]) for row in rows] == [(minutes_later(1), 3), (minutes_later(3), 3)]
            resets = await city.pool.fetch("select key from paired_reading where reset")
            assert [row["key"].split("\x01")[1] for row in resets] == ["r2"]
            [top] = [row for row in await city.rows("1m", "water.consumption", CITY) if row["start"] == minutes_later(3)]
            assert top["part"] == 3_000_000


async def test_open_hours_wait_and_are_stored_when_the_watermark_passes(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await city.post(records([occupancy("a", T0 + timedelta(minutes=5), 10)]))
        await city.beat(T0 + timedelta(minutes=30))
        await city.drain()
        assert await city.rows("1h", "parking.occupied") == []
        await city.beat(T0 + timedelta(minutes=61))
        await city.drain()
        assert len(await city.rows("1h", "parking.occupied")) == 6
        assert await city.rows("1d", "parking.occupied") == []
        assert await city.pool.fetchval("select final_through from rollup_state") == T0 + timedelta(minutes=60, seconds=30)


async def test_garbage_goes_to_dead_letters_with_bytes_and_offset_and_the_rest_is_kept(database: str) -> None:
    async with pipeline(database, small_city(), partitions=1) as city:
        good = [record(occupancy(f"g{n}", minutes_later(n), n)) for n in range(3)]
        await city.post([good[0], good[1]._replace(value=b'\xff{"id": 1'), good[2]])
        await city.drain()
        assert await city.figures() == (3, 2, 0, 0, 1)
        letter = await city.pool.fetchrow("select partition, record_offset, value, reason from dead_letter")
        assert letter is not None
        assert (letter["partition"], letter["record_offset"], letter["value"]) == (0, 1, b'\xff{"id": 1')


async def test_a_stretch_without_heartbeats_is_a_pipeline_gap(database: str) -> None:
    async with pipeline(database, small_city(), partitions=2) as city:
        for seconds in (0, 5, 10, 40, 45):
            await city.beat(T0 + timedelta(seconds=seconds))
            await city.drain()
        gaps = await city.pool.fetch("select partition, started_at, ended_at from pipeline_gap order by partition")
        assert [tuple(row) for row in gaps] == [(n, T0 + timedelta(seconds=10), T0 + timedelta(seconds=40)) for n in (0, 1)]


async def _clear(city: Pipeline) -> None:
    await city.pool.execute(
        "truncate event, event_identity, paired_reading, metric_window_1m, metric_window_1h, metric_window_1d, dirty, dirty_later"
    )
