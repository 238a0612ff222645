"""Rollup shared by processes: the same rows as one makes, and nothing is called complete before every shard has made it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from citybrain.aggregate.rollup import Rollup, lease_of
from citybrain.aggregate.shards import ALL, TOP, shard_of
from citybrain.api.state import dump
from citybrain.bus import members
from citybrain.bus.members import FixedMembership, PostgresMembership
from citybrain.bus.port import Record
from citybrain.city import City, parse_city
from citybrain.store import leases
from citybrain.telemetry import Metrics
from pipeline import Pipeline, pipeline
from postgres import Databases, fresh_database
from records import CITY, GRIDS, T0, city_files, minutes_later, occupancy, records, small_city
from sharing import SharedRollup, shared_rollup

ROUNDS, LOTS = 40, 24
MOVED = datetime(2026, 2, 28, 16, tzinfo=UTC)  # the first instant of a day of the city
_STANDING = "select minutes_through, final_through from rollup_state"
_LEAVES = "select coalesce(sum(count), 0) from metric_window_1m where leaf and start < $1"
_CITY = """
select coalesce(sum(w.count), 0) from metric_window_{step} w join series r on r.series_no = w.series
 where not w.leaf and r.area = $2 and w.start < $1
"""


def round_of(n: int, begin: float = 0) -> list[Record]:
    """A reading of every lot, seven minutes after the round before."""
    return records(
        occupancy(
            f"{n}-{lot}", minutes_later(begin + 7 * n + lot / LOTS), (n * lot) % 90, subject=f"lot-{lot}", area=GRIDS[lot % 8]
        )
        for lot in range(LOTS)
    )


async def lines(city: Pipeline, profile: City) -> list[str]:
    return [line async for line in dump(city.pool, profile)]


async def of_one_process(databases: Databases, profile: City) -> list[str]:
    async with fresh_database(databases) as dsn, pipeline(dsn, profile) as city:
        for n in range(ROUNDS):
            await city.post(round_of(n))
        await city.beat(minutes_later(7 * ROUNDS + 90))
        await city.drain()
        return await lines(city, profile)


async def check_that_what_is_called_complete_is_made(city: Pipeline) -> tuple[datetime | None, datetime]:
    """Nothing is late in these tests: so what is complete has every reading, up to the city."""
    row = await city.pool.fetchrow(_STANDING)
    assert row is not None
    minutes, final = row["minutes_through"], row["final_through"]
    hours = final.replace(minute=0, second=0, microsecond=0) if final.year > 1900 else datetime(1900, 1, 1, tzinfo=UTC)
    for step, bound in (("1m", minutes or hours), ("1h", hours)):
        there = await city.pool.fetchval(_CITY.format(step=step), bound, CITY)
        assert there == await city.pool.fetchval(_LEAVES, bound), (step, bound)
    return minutes, final


@pytest.mark.long
@pytest.mark.cluster
@pytest.mark.timeout(120)
@pytest.mark.parametrize("processes", [2, 3, 5])
async def test_what_is_complete_in_any_order_of_passes_is_what_one_process_makes(
    database: str, databases: Databases, processes: int
) -> None:
    profile, dice = small_city(), random.Random(processes)
    seen = set()
    async with pipeline(database, profile) as city:
        shared = shared_rollup(city.pool, lambda: profile, processes)
        for n in range(ROUNDS):
            await city.post(round_of(n))
            await city.beat(minutes_later(7 * n))
            for _ in range(dice.randrange(1, 6)):
                await (city.worker.step() if dice.random() < 0.4 else dice.choice(shared.owners).step())
                seen.add((await check_that_what_is_called_complete_is_made(city))[0])
        await city.beat(minutes_later(7 * ROUNDS + 90))
        while await city.worker.step() or await shared.step():
            seen.add((await check_that_what_is_called_complete_is_made(city))[0])
        assert (await check_that_what_is_called_complete_is_made(city))[0] == minutes_later(7 * ROUNDS + 90 - 1)
        assert len(seen) > 5
        found = await lines(city, profile)
        owners = {row["shard"] for row in await city.pool.fetch("select distinct series_no % 16 as shard from series")}
        assert TOP in owners
        assert len(owners) > 3
    assert found == await of_one_process(databases, profile)


def with_a_community_that_moves() -> dict[str, bytes]:
    """From MOVED on the community of the first two grids belongs to the street of the last two."""
    files = city_files()
    document = json.loads(files["areas.geojson"])
    (moving,) = (one for one in document["features"] if one["properties"]["code"] == GRIDS[0][:12])
    later = json.loads(json.dumps(moving))
    moving["properties"]["valid_to"] = later["properties"]["valid_from"] = "2026-03-01"
    later["properties"]["parent"] = GRIDS[7][:9]
    document["features"].append(later)
    return files | {"areas.geojson": json.dumps(document).encode()}


@pytest.mark.long
@pytest.mark.cluster
@pytest.mark.timeout(120)
async def test_what_a_moved_area_hands_on_to_another_streets_shard_is_made_before_the_moment_is_complete(database: str) -> None:
    before, after = small_city(), parse_city(with_a_community_that_moves())
    profile, dice = before, random.Random(1)
    begin = (MOVED - T0) / timedelta(minutes=1) - 70
    async with pipeline(database, before) as city:
        shared = shared_rollup(city.pool, lambda: profile, 6)
        for n in range(20):
            if n == 5:
                profile = after  # every series of the first street has its number by now
            await city.post(round_of(n, begin))
            await city.beat(minutes_later(begin + 7 * n))
            while await city.worker.step():
                pass
            for _ in range(12):
                await dice.choice(shared.owners).step()
                await check_that_what_is_called_complete_is_made(city)
        await city.beat(minutes_later(begin + 7 * 20 + 90))
        while await city.worker.step() or await shared.step():
            await check_that_what_is_called_complete_is_made(city)
        rows = await city.rows("1m", "parking.occupied", GRIDS[0][:12], leaf=False)
        homes = {(shard_of(row["series"]), shard_of(row["parent"])) for row in rows}
        assert len(homes) == 2  # at home first, then under another street's shard
        assert any(home != above for home, above in homes)
        moved = await city.rows("1h", "parking.occupied", GRIDS[7][:9])
        assert sum(row["count"] for row in moved) == 20 * LOTS // 4 + sum(row["count"] for row in rows if row["start"] >= MOVED)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "BEAT_S", 0.05)
    monkeypatch.setattr(members, "ALIVE", timedelta(seconds=0.4))
    monkeypatch.setattr(leases, "LEASE_S", 1)
    monkeypatch.setattr(leases, "RENEW_S", 0.3)


@asynccontextmanager
async def rolling(city: Pipeline, profile: City, name: str, *, dies: bool) -> AsyncIterator[Rollup]:
    """A process among others; at the end it leaves, or dies without a word."""
    membership = PostgresMembership(city.pool, ("rollup", "aggregate", name), len(ALL))
    await membership.begin()
    rollup = Rollup(city.pool, lambda: profile, Metrics(), owner=uuid4(), membership=membership)
    stops = rollup._loop() if dies else rollup.run()
    task = asyncio.create_task(stops)
    try:
        yield rollup
    finally:
        beats = [membership._task] if dies and membership._task is not None else []
        for one in (task, *beats):
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one


async def until(holds: Any, limit_s: float = 20) -> None:
    async with asyncio.timeout(limit_s):
        while not await holds():
            await asyncio.sleep(0.02)


async def owners_of(city: Pipeline) -> dict[Any, int]:
    rows = await city.pool.fetch("select owner, count(*) as n from lease where name like 'rollup%' and until > now() group by 1")
    return {row["owner"]: row["n"] for row in rows}


@pytest.mark.usefixtures("quick")
async def test_shards_move_to_who_comes_and_back_from_who_leaves_or_dies(database: str) -> None:
    profile = small_city()
    async with pipeline(database, profile) as city, rolling(city, profile, "a", dies=False) as first:

        async def alone() -> bool:
            return await owners_of(city) == {first.owner: len(ALL)}

        await until(alone)
        for dies in (False, True):
            async with rolling(city, profile, "b", dies=dies) as second:

                async def fair(second: Rollup = second) -> bool:
                    return await owners_of(city) == {first.owner: 8, second.owner: 8}

                await until(fair)
            await until(alone)


@pytest.mark.long
@pytest.mark.cluster
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("quick")
async def test_processes_that_come_leave_and_die_while_events_flow_make_what_one_makes(
    database: str, databases: Databases
) -> None:
    profile = small_city()
    async with pipeline(database, profile) as city:

        async def all_is_made() -> bool:
            through = await city.pool.fetchval("select final_through from rollup_state")
            dirty = await city.pool.fetchval("select count(*) from dirty")
            return not dirty and bool(through == minutes_later(7 * ROUNDS + 90, -30))

        async with rolling(city, profile, "a", dies=False):
            for n in range(ROUNDS):
                await city.post(round_of(n))
                await city.beat(minutes_later(7 * n))
                await city.worker.step()
                async with rolling(city, profile, f"guest {n}", dies=n % 3 == 0):
                    await asyncio.sleep(0.05)
            await city.beat(minutes_later(7 * ROUNDS + 90))
            while await city.worker.step():
                pass
            await until(all_is_made)
        found = await lines(city, profile)
    assert found == await of_one_process(databases, profile)


async def test_a_process_waits_for_nobody_who_holds_another_shard_in_a_transaction(database: str) -> None:
    """One that hangs keeps its own shards until the database ends it, and no others."""
    profile = small_city()
    async with pipeline(database, profile) as city, city.pool.acquire() as hung:
        held = SharedRollup([])
        await hung.execute("insert into lease values ($1, $2, 1, now() - interval '1 s')", lease_of(3), uuid4())
        async with hung.transaction():
            await hung.execute("select from lease where name = $1 for update", lease_of(3))
            held.owners.append(Rollup(city.pool, lambda: profile, Metrics(), membership=FixedMembership(ALL)))
            await city.post(round_of(0))
            await city.worker.step()
            async with asyncio.timeout(5):
                assert await held.step()
            assert len(held.owners[0]._leases.fences) == len(ALL) - 1
        async with asyncio.timeout(5):
            while await held.step():
                pass
        assert len(held.owners[0]._leases.fences) == len(ALL)
        assert sum(row["count"] for row in await city.rows("1m", "parking.occupied", CITY)) == LOTS
