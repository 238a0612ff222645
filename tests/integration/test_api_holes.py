"""Silence is shown as silence: points in holes, listed holes, silent assets, expected counts."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from reading import Reading, reading
from records import CITY, DISTRICTS, GRIDS, T0, accepted, heartbeat, occupancy, records, small_city
from records import reading as said

ROME = ZoneInfo("Europe/Rome")
WATER = Path(__file__).parents[1] / "data" / "water_districts" / "inflow.csv.gz"
HOUR = timedelta(hours=1)
HEAD = "subject,type,area,every,valid_from,valid_to\n"


def flow(district: int, at: datetime, value: Decimal) -> dict[str, Any]:
    return accepted(
        f"{at:%Y%m%d%H}-{district}", at, [said("water.flow", value)], type="utility.reading", subject=f"dma-{district:02d}",
        area=GRIDS[district % 8], data={"medium": "water", "quantity": "flow", "value": 1, "unit": "L/s"},
    )  # fmt: skip


def water(districts: tuple[int, ...], until: datetime) -> list[dict[str, Any]]:
    """The readings of some districts; of two equal local hours the second is the later one."""
    found: list[dict[str, Any]] = []
    before = None
    with gzip.open(WATER, "rt", encoding="utf-8-sig") as file:
        for line in list(csv.reader(file))[1:]:
            naive = datetime.strptime(line[0], "%d/%m/%Y %H:%M")  # noqa: DTZ007 - the zone follows
            at = naive.replace(tzinfo=ROME, fold=int(naive == before)).astimezone(UTC)
            before = naive
            found += [flow(n, at, Decimal(line[n])) for n in districts if line[n] and at < until]
    return found


async def test_the_real_holes_of_the_water_districts_are_listed(database: str) -> None:
    roster = HEAD + "".join(f"dma-{n:02d},utility.reading,{GRIDS[n % 8]},1h,2021-01-01,\n" for n in (6, 7, 9))
    rows = water((6, 7, 9), datetime(2021, 3, 1, tzinfo=UTC)) + [
        row for row in water((7,), datetime(2024, 1, 1, tzinfo=UTC)) if row["time"] >= "2021-03-01"
    ]
    async with reading(database, small_city("Europe/Rome", roster)) as city:
        await city.pipeline.post(records(rows))
        await city.pipeline.drain()
        lengths = {}
        for n in (6, 7, 9):
            listed = await city.every(
                f"/v1/assets/dma-{n:02d}/holes", from_="2020-01-01T00:00:00Z", to="2021-03-01T00:00:00Z" if n != 7 else None
            )
            ended = [one for one in listed if one["end"] is not None]
            longest = max(ended, key=_length)
            lengths[n] = (_length(longest) // HOUR, longest["before"] is None)
            assert longest["end"] == longest["after"]
        assert lengths == {6: (1076, True), 7: (627, False), 9: (995, True)}
        hole = max((one for one in await city.every("/v1/assets/dma-07/holes") if one["end"]), key=_length)
        span = (datetime.fromisoformat(hole["start"]), datetime.fromisoformat(hole["end"]))
        points = await city.points("water.flow", GRIDS[7], "1h", (span[0] + HOUR, span[1]), subject="dma-07")
        assert len(points) == 626
        assert {(point["count"], point["value"], point["expected"], point["revision"]) for point in points} == {
            (0, None, None, 0)
        }
        days = await city.points("water.flow", GRIDS[7], "1d", span)
        silent = [day for day in days if day["count"] == 0]
        assert len(silent) in {25, 26}
        assert {day["expected"] for day in silent} == {24}


def _length(hole: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(hole["end"]) - datetime.fromisoformat(hole["start"])


async def test_an_area_is_silent_only_while_everything_that_feeds_it_is(database: str) -> None:
    roster = (
        HEAD
        + f"a,parking.occupancy,{GRIDS[0]},30m,,\nb,parking.occupancy,{GRIDS[1]},30m,,\nbin,parking.occupancy,{GRIDS[1]},,,\n"
    )
    quiet_from, quiet_to = T0 + 3 * HOUR, T0 + 9 * HOUR
    rows = [occupancy(f"a{n}", T0 + n * HOUR / 2, n, subject="a") for n in range(7)]
    rows += [occupancy(f"b{n}", T0 + n * HOUR / 2, n, subject="b", area=GRIDS[1]) for n in range(11)]
    rows += [occupancy(f"{lot}-back", quiet_to, 1, subject=lot, area=grid) for lot, grid in (("a", GRIDS[0]), ("b", GRIDS[1]))]
    async with reading(database, small_city(roster=roster)) as city:
        await city.pipeline.post(records(rows))
        await city.pipeline.beat(quiet_to)
        await city.pipeline.drain()
        span = (T0, T0 + timedelta(days=1))
        for area in (CITY, DISTRICTS[0]):
            hours = await city.points("parking.occupied", area, "1h", span)
            assert [(point["count"], point["expected"]) for point in hours] == [
                (4, 4), (4, 4), (4, 4), (3, 4), (2, 4), (1, 4), (0, 4), (0, 4), (0, 4), (2, 4),
            ]  # fmt: skip
        minutes = await city.points("parking.occupied", GRIDS[0], "1m", (quiet_from, quiet_to), limit=50)
        assert [point["count"] for point in minutes] == [1] + [0] * 359
        assert await city.points("parking.occupied", DISTRICTS[1], "1h", span) == []
        [day] = await city.points("parking.occupied", CITY, "1d", (T0 - 8 * HOUR, T0 + 16 * HOUR))
        assert day["expected"] == 96


async def test_expected_knows_the_length_of_the_day_and_when_an_asset_is_on_the_roster(database: str) -> None:
    roster = HEAD + f"a,parking.occupancy,{GRIDS[0]},1h,,\nb,parking.occupancy,{GRIDS[1]},7h,2026-03-29,2026-03-31\n"
    days = [datetime(2026, 3, day, 12, tzinfo=UTC) for day in (28, 29, 30, 31)]
    rows = [occupancy(f"a{n}", at, 1, subject="a") for n, at in enumerate(days)]
    rows += [occupancy("b", days[1], 1, subject="b", area=GRIDS[1])]
    async with reading(database, small_city("Europe/Rome", roster)) as city:
        await city.pipeline.post(records(rows))
        await city.pipeline.drain()
        span = (datetime(2026, 3, 28, tzinfo=ROME), datetime(2026, 4, 1, tzinfo=ROME))
        expected = [point["expected"] for point in await city.points("parking.occupied", CITY, "1d", span)]
        assert expected[0] == 24
        assert expected[1] == 23 + Decimal(23) / 7
        assert expected[2] == 24 + Decimal(24) / 7
        assert expected[3] == 24
        [hour] = await city.points("parking.occupied", CITY, "1h", (days[0], days[0] + HOUR))
        assert hour["expected"] is None


async def test_assets_show_their_latest_state_and_who_is_silent(database: str) -> None:
    """Silent is who is in a hole that lasts; nine hours ago, at midnight, four lines of the roster began."""
    began = [("back", "12h"), ("gone", "1h"), ("mute", "1h"), ("new", "12h")]
    always = [("a/1", "30m"), ("b", "30m"), ("shy", ""), ("unsaid", "1h")]
    roster = HEAD + "".join(f"{name},parking.occupancy,{GRIDS[0]},{every},2026-03-01,\n" for name, every in began)
    roster += "".join(f"{name},parking.occupancy,{GRIDS[0]},{every},,\n" for name, every in always)
    rows = [
        *(occupancy(name, T0 - 72 * HOUR, 1, subject=name) for name in ("back", "gone")),
        occupancy("1", T0, 1, subject="a/1"),
        occupancy("2", T0 + HOUR, 2, subject="b"),
        occupancy("3", T0, 3, subject="stray", area=GRIDS[-1]),
    ]
    async with reading(database, small_city(roster=roster)) as city:
        await city.pipeline.post([*records(rows), heartbeat(T0 + HOUR)])
        await city.pipeline.beat(T0 + HOUR + timedelta(seconds=40))
        await city.pipeline.drain()
        listed = {one["subject"]: one for one in await city.every("/v1/assets", limit=2)}
        assert list(listed) == ["a/1", "b", "back", "gone", "mute", "new", "shy", "stray", "unsaid"]
        assert {name for name, one in listed.items() if one["silent"]} == {"a/1", "gone", "mute"}
        assert {name for name, one in listed.items() if one["last_seen"] is None} == {"mute", "new", "shy", "unsaid"}
        for name, one in listed.items():
            holes = await city.every(f"/v1/assets/{name}/holes")
            assert one["silent"] == any(hole["end"] is None for hole in holes), (name, holes)
        assert listed["b"]["data"] == {"occupied": 2, "capacity": 100}
        assert await _subjects(city, silent="true") == ["a/1", "gone", "mute"]
        assert await _subjects(city, area=DISTRICTS[1]) == ["stray"]
        assert await _subjects(city, type="bin.level") == []
        [hole] = await city.every("/v1/assets/a/1/holes")
        assert (hole["start"], hole["end"]) == ("2026-03-01T00:00:00.000000Z", None)
        assert (await city.get("/v1/assets/nobody/holes")).status == 404


async def _subjects(city: Reading, **query: str) -> list[str]:
    return [one["subject"] for one in await city.every("/v1/assets", **query)]
