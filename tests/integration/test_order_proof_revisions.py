"""Revisions, late data and areas that move: what changes when something changes, and nothing else (invariants 5 and 6)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from citybrain.aggregate import rollup
from citybrain.aggregate.modes import metric_rows
from citybrain.aggregate.verify import differences
from citybrain.city import City, parse_city
from citybrain.store.dictionary import put_metrics
from pipeline import Pipeline, pipeline
from reading import Reading, reading
from records import (
    CITY,
    DISTRICTS,
    GRIDS,
    T0,
    city_files,
    minutes_later,
    occupancy,
    record,
    records,
    register,
    small_city,
)

COMMUNITY, STREET, OTHER_STREET = GRIDS[0][:12], GRIDS[0][:9], GRIDS[2][:9]
AROUND = (T0 - timedelta(days=1), T0 + timedelta(days=4))


async def all_rows(city: Pipeline) -> dict[tuple[str, int, datetime], dict[str, Any]]:
    """Every row of every table, whole, by table, series and start."""
    return {
        (step, row["series"], row["start"]): dict(row)
        for step in ("1m", "1h", "1d")
        for row in await city.pool.fetch(f"select * from metric_window_{step}")
    }


async def revisions(city: Reading, metric: str, step: str) -> dict[tuple[str, str], int]:
    """As the API shows them: of the areas from the first grid up to the city."""
    return {
        (area, point["start"]): point["revision"]
        for area in (GRIDS[0], COMMUNITY, STREET, DISTRICTS[0], CITY)
        for point in await city.points(metric, area, step, AROUND)
    }


def never_fell(before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]) -> bool:
    return before.keys() <= after.keys() and all(after[key] >= before[key] for key in before)


async def wrong(city: Pipeline, profile: City) -> list[Any]:
    await put_metrics(city.pool, metric_rows())
    async with city.pool.acquire() as connection:
        return [one async for one in differences(connection, profile)]


async def test_what_is_late_changes_its_own_rows_by_one_revision_and_no_other_row_at_all(database: str) -> None:
    profile = small_city()
    async with pipeline(database, profile) as city:
        await city.post(
            records(
                occupancy(f"{lot}-{n}", T0 + timedelta(minutes=17 * n), n % 9, subject=f"lot-{lot}", area=GRIDS[lot])
                for lot in range(6)
                for n in range(200)
            )
        )
        await city.post(records(register(f"r{n}", T0 + timedelta(hours=n), 10 * n, area=GRIDS[1]) for n in range(60)))
        await city.beat(T0 + timedelta(days=100))
        await city.drain()
        before = await all_rows(city)
        names = {row["series_no"]: row for row in await city.pool.fetch("select * from series")}
        late = T0 + timedelta(hours=30, minutes=20)
        await city.post(
            records([occupancy("late", late, 5, subject="lot-0"), register("late too", late, Decimal("302.5"), area=GRIDS[1])])
        )
        await city.drain()
        after = await all_rows(city)
    changed = {key for key in after if after[key] != before.get(key)}
    assert before.keys() <= after.keys()
    assert all(after[key]["revision"] == before[key]["revision"] + 1 for key in changed & before.keys())
    assert all(after[key]["revision"] == 0 for key in changed - before.keys())
    own = {("1h", T0 + timedelta(hours=30)), ("1d", T0 + timedelta(hours=16)), ("1m", late)}
    next_register = {("1m", T0 + timedelta(hours=31)), ("1h", T0 + timedelta(hours=31))}
    assert {(step, start) for step, series, start in changed if names[series]["metric"].startswith("parking")} == own
    assert {
        (step, start) for step, series, start in changed if names[series]["metric"] == "water.consumption"
    } <= own | next_register
    assert {names[series]["area"] for _, series, _ in changed} == {*GRIDS[:2], COMMUNITY, STREET, DISTRICTS[0], CITY}


async def test_making_everything_again_changes_no_revision(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await city.post(records(occupancy(f"p{n}", minutes_later(7 * n), n) for n in range(50)))
        await city.beat(T0 + timedelta(days=9))
        await city.drain()
        before = await all_rows(city)
        for step in ("1m", "1h", "1d"):
            await city.pool.execute(f"insert into dirty select '{step}', start, abs(parent) from metric_window_{step}")
        await city.drain()
        assert await all_rows(city) == before


async def test_revisions_do_not_fall_when_an_hour_becomes_final_though_a_figure_is_gone(database: str) -> None:
    async with reading(database, small_city()) as city:
        for identity, minute, value in (("a", 1, 100), ("b", 9, 150), ("c", 5, 120), ("d", 7, 130), ("e", 8, 200)):
            await city.pipeline.post([record(register(identity, minutes_later(minute), value))])
            await city.pipeline.drain()
        before = {step: await revisions(city, "water.consumption", step) for step in ("1m", "1h", "1d")}
        assert max(before["1h"].values()) > 1
        for days in (1, 3):
            await city.pipeline.beat(T0 + timedelta(days=days))
            await city.pipeline.drain()
            after = {step: await revisions(city, "water.consumption", step) for step in ("1m", "1h", "1d")}
            assert all(never_fell(before[step], after[step]) for step in before), (before, after)


async def test_revisions_do_not_fall_when_the_only_meter_of_an_area_lost_its_figure(database: str) -> None:
    async with reading(database, small_city()) as city:
        minutes = (("a", 1, 100, "m"), ("b", 69, 150, "m"), ("c", 62, 10, "n"), ("d", 63, 11, "n"), ("e", 8, 160, "m"))
        for identity, minute, value, meter in minutes:
            area = GRIDS["mn".index(meter)]
            await city.pipeline.post([record(register(identity, minutes_later(minute), value, subject=meter, area=area))])
            await city.pipeline.drain()
        before = {step: await revisions(city, "water.consumption", step) for step in ("1h", "1d")}
        for days in (1, 3):
            await city.pipeline.beat(T0 + timedelta(days=days))
            await city.pipeline.drain()
            after = {step: await revisions(city, "water.consumption", step) for step in ("1h", "1d")}
            assert all(never_fell(before[step], after[step]) for step in before), (before, after)


@pytest.mark.parametrize("at_once", [1, 3, 20_000])
async def test_revisions_do_not_fall_when_an_hour_is_stored_in_several_passes(
    database: str, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(rollup, "MAX_DUE", at_once)
    async with reading(database, small_city()) as city:
        for n in range(3):
            await city.pipeline.post(
                records(
                    occupancy(f"{n}-{lot}", minutes_later(lot, 10 * n), n, subject=f"lot-{lot}", area=GRIDS[lot])
                    for lot in range(4)
                )
            )
            await city.pipeline.drain()
        before = await revisions(city, "parking.occupied", "1h")
        assert before[CITY, "2026-03-01T00:00:00Z"] == 8
        await city.pipeline.beat(T0 + timedelta(days=3))
        await city.pipeline.drain()
        after = await revisions(city, "parking.occupied", "1h")
        assert never_fell(before, after), (before, after)
        await city.pipeline.post([record(occupancy("late", minutes_later(0, 59), 9))])
        await city.pipeline.drain()
        assert (await revisions(city, "parking.occupied", "1h"))[CITY, "2026-03-01T00:00:00Z"] == after[
            CITY, "2026-03-01T00:00:00Z"
        ] + 1


async def test_a_day_is_not_made_from_hours_that_wait_to_be_corrected(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = small_city()
    async with pipeline(database, profile) as city:
        await city.post(records(occupancy(f"p{n}", T0 + timedelta(hours=n), n) for n in range(20)))
        await city.beat(T0 + timedelta(days=9))
        await city.drain()
        await city.post([record(occupancy("late", T0 + timedelta(hours=3, minutes=30), 50))])
        await city.worker.step()
        for statement in (
            "create temp table aside as select * from dirty",
            "truncate dirty",
            "insert into dirty select * from aside order by step",  # days first: pages that are used again have no order
        ):
            await city.pool.execute(statement)
        monkeypatch.setattr(rollup, "MAX_DIRTY", 1)
        await city.drain()
        assert await wrong(city, profile) == []
        days = await city.rows("1d", "parking.occupied", CITY, leaf=False)
        assert sum(row["count"] for row in days) == 21


def moving_city() -> City:
    """The first community belongs to another street from March 2nd on, local time (UTC+5:45)."""
    files = city_files("Asia/Kathmandu")
    document = json.loads(files["areas.geojson"])
    [before] = [one for one in document["features"] if one["properties"]["code"] == COMMUNITY]
    after = before | {"properties": before["properties"] | {"parent": OTHER_STREET, "valid_from": "2026-03-02"}}
    before["properties"]["valid_to"] = "2026-03-02"
    document["features"].append(after)
    return parse_city(files | {"areas.geojson": json.dumps(document).encode()})


async def test_windows_stay_with_the_street_that_a_community_belonged_to_when_they_began(database: str) -> None:
    moved = datetime.fromisoformat("2026-03-01T18:15:00+00:00")
    profile = moving_city()
    async with pipeline(database, profile) as city:
        minutes = (-60, -16, -15, -1, 0, 1, 14, 15, 44, 45, 60)
        for n, minute in enumerate(reversed(minutes)):
            await city.post([record(occupancy(f"p{n}", moved + timedelta(minutes=minute), n))])
            await city.drain()
        await city.beat(moved + timedelta(days=5))
        await city.drain()
        for step, before_until in (("1m", 0), ("1h", 45), ("1d", 0)):
            old = await city.rows(step, "parking.occupied", STREET, leaf=False)
            new = await city.rows(step, "parking.occupied", OTHER_STREET, leaf=False)
            assert sum(row["count"] for row in old) == sum(minute < before_until for minute in minutes), step
            assert sum(row["count"] for row in new) == sum(minute >= before_until for minute in minutes), step
            top = await city.rows(step, "parking.occupied", CITY, leaf=False)
            assert sum(row["count"] for row in top) == len(minutes)
        assert await wrong(city, profile) == []


async def test_an_area_that_the_profile_no_longer_has_stops_nothing(database: str) -> None:
    whole = small_city()
    files = city_files()
    document = json.loads(files["areas.geojson"])
    gone = (GRIDS[-1], GRIDS[-1][:12])
    document["features"] = [one for one in document["features"] if one["properties"]["code"] not in {*gone, GRIDS[-2]}]
    smaller = parse_city(files | {"areas.geojson": json.dumps(document).encode()})
    async with pipeline(database, whole) as city:
        await city.post(records([occupancy("a", T0, 1, subject="x", area=GRIDS[-1]), occupancy("b", T0, 2, subject="y")]))
        await city.worker.step()
        city.rollup.city = lambda: smaller
        await city.beat(T0 + timedelta(days=3))
        await city.drain()
        for step in ("1m", "1h", "1d"):
            [left] = await city.rows(step, "parking.occupied", GRIDS[-1], leaf=False)
            [top] = await city.rows(step, "parking.occupied", CITY, leaf=False)
            assert (left["count"], top["count"]) == (1, 1)
