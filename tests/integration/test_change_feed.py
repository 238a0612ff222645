"""What aggregate and rollup tell alert: which minutes changed, which assets spoke late, and how far all minutes are complete."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pipeline import Pipeline, pipeline
from records import CITY, T0, occupancy, record, records, register, small_city

_CHANGED = """
select c.role, c.batch, r.metric, r.area, r.subject, m.minute - $1::integer as minute
  from change c cross join unnest(c.series, c.minutes) as m (series, minute) join series r on r.series_no = m.series
 where r.metric <> 'parking.occupied_ratio' order by c.role, c.batch, r.metric, length(r.area), m.minute
"""
MINUTE_0 = int(T0.timestamp()) // 60


async def _changed(city: Pipeline) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await city.pool.fetch(_CHANGED, MINUTE_0)]


async def _minutes_through(city: Pipeline) -> object:
    return await city.pool.fetchval("select minutes_through from rollup_state")


async def test_a_batch_tells_the_minutes_of_assets_and_a_pass_those_of_areas(database: str) -> None:
    async with pipeline(database, small_city(), partitions=1) as city:
        await city.post([record(occupancy("a", T0, 10)), record(occupancy("b", T0 + timedelta(minutes=2), 11))])
        await city.drain()
        told = await _changed(city)
        of_lot = [(minute, subject) for role, *_, subject, minute in told if role == "aggregate"]
        assert of_lot == [(0, "lot-1"), (2, "lot-1")]
        of_city = [minute for role, _, _, area, _, minute in told if role == "rollup" and area == CITY]
        assert of_city == [0, 2]
        assert len({area for role, _, _, area, _, _ in told if role == "rollup"}) == 5


async def test_a_repeat_tells_nothing(database: str) -> None:
    async with pipeline(database, small_city(), partitions=1) as city:
        await city.post([record(occupancy("a", T0, 10))])
        await city.drain()
        before = await city.pool.fetch("select role, batch from change order by 1, 2")
        await city.post([record(occupancy("a", T0, 10))])
        await city.drain()
        assert await city.pool.fetch("select role, batch from change order by 1, 2") == before


async def test_the_difference_that_a_register_makes_is_told(database: str) -> None:
    async with pipeline(database, small_city(), partitions=1) as city:
        await city.post(records([register("r0", T0, 100), register("r1", T0 + timedelta(minutes=3), 104)]))
        await city.drain()
        told = [
            minute
            for role, _, metric, _, _, minute in await _changed(city)
            if (role, metric) == ("aggregate", "water.consumption")
        ]
        assert told == [3]


async def test_only_assets_that_spoke_in_a_minute_that_was_final_are_told_as_late(database: str) -> None:
    async with pipeline(database, small_city(), partitions=1) as city:
        await city.post([record(occupancy("a", T0, 10))])
        await city.beat(T0 + timedelta(minutes=10))
        await city.drain()
        await city.post(
            records([occupancy("late", T0 + timedelta(minutes=5), 10), occupancy("fresh", T0 + timedelta(minutes=11), 10)])
        )
        await city.drain()
        found = await city.pool.fetch(
            "select l.* from change, unnest(late_subject, late_type, late_minute) as l (subject, type, minute)"
        )
        assert [tuple(row) for row in found] == [("lot-1", "parking.occupancy", MINUTE_0 + 5)]


async def test_minutes_are_complete_once_rollup_has_made_what_was_dirty_below_the_watermark(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        assert await _minutes_through(city) is None
        await city.post([record(occupancy("a", T0, 10))])
        await city.beat(T0 + timedelta(minutes=10, seconds=50))  # the watermark stays 30 s behind
        while await city.worker.step():
            pass
        assert await _minutes_through(city) is None
        await city.drain()
        assert await _minutes_through(city) == T0 + timedelta(minutes=10)
        await city.beat(T0 + timedelta(minutes=10, seconds=55))
        await city.drain()
        assert await _minutes_through(city) == T0 + timedelta(minutes=10)
        assert await city.pool.fetchval("select pass from rollup_state") <= 2


async def test_passes_are_numbered_in_the_order_of_their_commits(database: str) -> None:
    async with pipeline(database, small_city(), partitions=1) as city:
        for n in range(3):
            await city.post([record(occupancy(f"e{n}", T0 + timedelta(minutes=n), n))])
            await city.drain()
        numbers = [
            row["batch"] for row in await city.pool.fetch("select batch from change where role = 'rollup' order by made_at")
        ]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == 3
