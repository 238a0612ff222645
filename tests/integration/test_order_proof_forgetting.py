"""Identities are forgotten, and still nothing counts twice (invariant 2); old pairs go, and no figure with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from citybrain.store import upkeep
from citybrain.store.partitions import event_stretches
from pipeline import Pipeline, pipeline
from postgres import cut_by_days
from records import CITY, GRIDS, T0, accepted, minutes_later, occupancy, reading, records, register, small_city


async def forget_all(city: Pipeline) -> int:
    async with city.pool.acquire() as connection:
        return await upkeep.forget_identities(connection, await connection.fetchval("select now() + interval '1 s'"))


async def post(city: Pipeline, contents: Sequence[dict[str, Any]]) -> tuple[int, ...]:
    await city.post(records(contents))
    await city.drain()
    return await city.figures()


def report(identity: str, at: datetime, text: str) -> dict[str, Any]:
    readings = [reading("citizen.reports", 1)]
    return accepted(identity, at, readings, type="citizen.report", subject=None, area=GRIDS[3], data={"text": text})


async def test_exact_repeats_of_forgotten_identities_are_counted_once_to_the_last_microsecond(database: str) -> None:
    moments = [T0 + timedelta(days=n % 7, microseconds=n * 7919 + 1) for n in range(200)]
    contents = [occupancy(f"p{n}", at, n % 5, subject=f"lot-{n % 3}") for n, at in enumerate(moments)]
    contents += [report(f"r{n}", at, "x") for n, at in enumerate(moments[::10])]
    async with pipeline(database, small_city()) as city:
        assert await post(city, contents) == (220, 220, 0, 0, 0)
        assert await forget_all(city) == 220
        assert await post(city, contents) == (440, 220, 220, 0, 0)
        assert await forget_all(city) == 220
        assert await post(city, contents) == (660, 220, 440, 0, 0)


async def test_the_newest_of_the_forgotten_events_is_found_whatever_its_microsecond(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        for n in range(40):
            newest = occupancy(f"p{n}", T0 + timedelta(days=n, microseconds=n * 104_729 + n), 1)
            await post(city, [newest])
            await forget_all(city)
            assert await post(city, [newest]) == (2 * n + 2, n + 1, n + 1, 0, 0)


@pytest.mark.parametrize("subject", ["lot-1", None])
async def test_other_content_of_a_forgotten_identity_at_the_same_time_is_a_conflict(database: str, subject: str | None) -> None:
    one, other = report("a", T0, "one"), report("a", T0, "other")
    if subject is not None:
        one, other = occupancy("a", T0, 1, subject=subject), occupancy("a", T0, 2, subject=subject)
    async with pipeline(database, small_city()) as city:
        await post(city, [one])
        await forget_all(city)
        assert await post(city, [other]) == (2, 1, 0, 1, 0)
        assert await post(city, [one, other]) == (4, 1, 2, 1, 0)
        await forget_all(city)
        assert await post(city, [other, one]) == (6, 1, 4, 1, 0)


async def test_old_pairs_are_dropped_and_what_is_late_still_finds_its_neighbour(database: str) -> None:
    profile = small_city()
    await cut_by_days(database)
    async with pipeline(database, profile) as city:
        february = [register(f"r{n}", T0 - timedelta(days=9 - n), 100 + n) for n in range(5)]
        await post(city, [*february, register("s", T0 + timedelta(hours=1), 150)])
        async with city.pool.acquire() as connection:
            ended = [one.name for one in await event_stretches(connection) if one.end <= T0]
            assert await upkeep.forget_events(connection, T0) == ended != []
        assert await city.pool.fetchval("select count(*) from paired_reading") == 2
        await post(city, [register("late", T0 + timedelta(minutes=30), Decimal("149.5"))])
        rows = {row["start"]: row["sum"] for row in await city.rows("1m", "water.consumption", CITY)}
        assert rows[minutes_later(30)] == Decimal("45.5")
        assert rows[minutes_later(60)] == Decimal("0.5")
