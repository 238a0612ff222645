"""Several aggregate workers over one topic: who comes, leaves, hangs or dies changes nothing that is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from citybrain.aggregate.batch import Fenced
from citybrain.aggregate.drain import consume
from citybrain.aggregate.limits import TooManyDeadLetters
from citybrain.aggregate.worker import AggregateWorker
from citybrain.bus import members
from citybrain.bus.members import FixedMembership, PostgresMembership
from citybrain.bus.port import Membership, Record
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC
from pipeline import Pipeline, pipeline
from records import CITY, minutes_later, occupancy, records, small_city

LOTS, ROUNDS = 40, 40


@pytest.fixture(autouse=True)
def quick_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "BEAT_S", 0.05)
    monkeypatch.setattr(members, "ALIVE", timedelta(seconds=0.4))


def worker(city: Pipeline, membership: Membership | None = None, **more: Any) -> AggregateWorker:
    return AggregateWorker(
        city.pool, city.bus, EVENTS_TOPIC, small_city, Metrics(), membership=membership, max_records=50, **more
    )


@asynccontextmanager
async def at_work(city: Pipeline, name: str) -> AsyncIterator[Membership]:
    """A worker among others; at the end it dies without leaving."""
    membership = await city.bus.join(EVENTS_TOPIC, "aggregate", name)
    assert isinstance(membership, PostgresMembership)
    assert membership._task is not None
    task = asyncio.create_task(worker(city, membership, name=name).run())
    try:
        yield membership
    finally:
        for one in (task, membership._task):
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one


def round_of(n: int) -> list[Record]:
    return records(occupancy(f"{n}-{lot}", minutes_later(n), n, subject=f"lot-{lot}") for lot in range(LOTS))


async def until_stored(city: Pipeline, count: int) -> None:
    async with asyncio.timeout(20):
        while (await city.figures())[0] < count:
            await asyncio.sleep(0.02)


async def test_members_share_all_partitions_and_who_leaves_gives_them_back(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        one, two, three = [await city.bus.join(EVENTS_TOPIC, "aggregate", name) for name in ("a", "b", "c")]
        async with asyncio.timeout(10):
            while sorted(n for each in (one, two, three) for n in each.current().partitions) != [0, 1, 2, 3]:
                await asyncio.sleep(0.02)
        before = one.current().number
        await two.leave()
        async with asyncio.timeout(10):
            while sorted(n for each in (one, three) for n in each.current().partitions) != [0, 1, 2, 3]:
                await asyncio.sleep(0.02)
        assert not two.current().partitions
        assert one.current().number > before


async def test_workers_that_come_and_die_while_events_flow_count_each_event_once(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        async with at_work(city, "a"):
            for n in range(ROUNDS // 2):
                await city.post(round_of(n))
                async with at_work(city, f"guest {n}"):
                    await asyncio.sleep(0.05)
            async with at_work(city, "z"):
                for n in range(ROUNDS // 2, ROUNDS):
                    await city.post(round_of(n))
                await until_stored(city, ROUNDS * LOTS)
        while await city.rollup.step():
            pass
        assert await city.figures() == (ROUNDS * LOTS, ROUNDS * LOTS, 0, 0, 0)
        rows = await city.rows("1m", "parking.occupied", CITY)
        assert [(row["count"], row["subjects"]) for row in rows] == [(LOTS, LOTS)] * ROUNDS


async def test_one_that_hung_over_a_change_of_members_stores_nothing_afterwards(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await city.post(round_of(0))
        hung = worker(city)
        await hung._seed()
        prepared = await hung._prepare(hung.offsets())
        assert prepared is not None
        assert await worker(city).step()
        with pytest.raises(Fenced):
            await hung._store(prepared)
        assert await city.figures() == (LOTS, LOTS, 0, 0, 0)


async def test_nothing_is_final_before_every_partition_was_read_even_by_a_member_that_has_not_come_yet(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await city.post(round_of(0))
        await city.beat(minutes_later(5))
        first, second = (worker(city, FixedMembership(mine)) for mine in ({0, 1}, {2, 3}))
        for each, through in ((first, False), (second, True)):
            while await each.step():
                pass
            while await city.rollup.step():
                pass
            assert (await city.pool.fetchval("select minutes_through from rollup_state") is not None) is through
        assert await city.figures() == (LOTS, LOTS, 0, 0, 0)


def poisoned(every: int, count: int = 3_000) -> list[Record]:
    good = records(occupancy(f"{n}", minutes_later(n % 60), 1, subject=f"lot-{n % LOTS}") for n in range(count))
    return [one._replace(value=b"\x00 garbage") if n % every == 0 else one for n, one in enumerate(good)]


async def test_a_poisoned_topic_stops_the_role_with_the_reason_and_keeps_what_was_not_stored(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await city.post(poisoned(3))
        with pytest.raises(TooManyDeadLetters, match="cannot be decoded"):
            async with asyncio.timeout(20):
                await worker(city, stops=True).run()
        stored = await city.pool.fetchval("select coalesce(sum(next_offset), 0) from bus_position where role = 'aggregate'")
        assert stored < 3_000


async def test_one_in_a_hundred_goes_to_dead_letters_and_the_role_goes_on_to_the_end(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await city.post(poisoned(100))
        make = partial(AggregateWorker, city.pool, city.bus, EVENTS_TOPIC, small_city, Metrics(), stops=True)
        done = await consume(city.bus, EVENTS_TOPIC, make, 2, city.rollup)
        assert done.records == 3_000
        assert await city.figures() == (3_000, 2_970, 0, 0, 30)
        assert await city.pool.fetchval("select count(*) from dead_letter") == 30
