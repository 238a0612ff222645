"""Everything derived can be checked and made anew: a row that was touched is named, another time zone gives other days."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from places import CITY, GRIDS, minutes_ago, occupancy, stamp, write_profile

from city import City
from citybrain.store.embedded import database_of

DAYS_AGO = 60 * 24 * 3


def _events() -> list[dict[str, Any]]:
    """Four car parks, every 20 minutes of three days that are over, and water meters with a register."""
    begin = minutes_ago(DAYS_AGO + 60 * 24 * 3)
    found: list[dict[str, Any]] = []
    for number in range(72 * 3):
        time = stamp(begin + timedelta(minutes=20 * number))
        for lot, grid in enumerate(GRIDS):
            found.append(occupancy((number * 7 + lot * 11) % 100, subject=f"lot-{lot}", area=grid, time=time))
        data = {"medium": "water", "quantity": "register", "value": number * 1.5, "unit": "m3"}
        found.append(occupancy(type="utility.reading", subject="meter-1", area=GRIDS[1], time=time, data=data))
    return found


async def _touch(city: City, statement: str) -> None:
    async with database_of(city.data) as dsn:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            assert await connection.execute(statement, timeout=10) == "UPDATE 1"
        finally:
            await connection.close(timeout=5)


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("of_asset", "step"), [(False, "1m"), (False, "1h"), (False, "1d"), (True, "1m"), (True, "1h"), (True, "1d")]
)
def test_a_derived_row_that_was_touched_is_named_by_state_verify(verified_city: City, of_asset: bool, step: str) -> None:
    table = f"metric_window_{step}"
    chosen = f"""
      where (series, start) = (
        select x.series, x.start from {table} x join series r on r.series_no = x.series
         where r.area = '{GRIDS[0] if of_asset else CITY}' and r.metric = 'parking.occupied' and x.leaf is {of_asset}
         order by x.start offset 1 limit 1)
    """
    asyncio.run(_touch(verified_city, f"update {table} set sum = sum + 1000000 {chosen}"))
    said = verified_city.on_data("state", "verify")
    asyncio.run(_touch(verified_city, f"update {table} set sum = sum - 1000000 {chosen}"))
    assert said.code != 0
    assert len(said.complaint) == 1
    named = [json.loads(line) for line in said.out.splitlines()]
    wanted = ("parking.occupied", step, GRIDS[0], "lot-0") if of_asset else ("parking.occupied", step, CITY, None)
    assert wanted in {(row["metric"], row["step"], row["area"], row["subject"]) for row in named}
    verified_city.on_data("state", "verify").ok()


@pytest.fixture(scope="module")
def verified_city(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("verified")
    with City(root, write_profile(root / "city")) as city:
        assert city.post(_events()).status == 202
        city.settled(len(_events()))
        city.on_data("state", "verify").ok()
        yield city


@pytest.mark.long
@pytest.mark.timeout(150)
def test_another_time_zone_is_refused_until_a_rebuild_and_then_gives_what_a_fresh_city_gives(tmp_path: Path) -> None:
    events = _events()
    east, west = (
        write_profile(tmp_path / name, zone) for name, zone in (("east", "Asia/Shanghai"), ("west", "America/St_Johns"))
    )
    roots = [tmp_path / name for name in ("moved", "fresh")]
    for root in roots:
        root.mkdir()
    with City(roots[0], east) as moved:
        assert moved.post(events[: len(events) // 2]).status == 202
        moved.settled(len(events) // 2)
        before = moved.dump()
        moved.stop()
        moved.profile = west
        refused = moved.on_data("up", "--port", str(moved.port))
        assert refused.code != 0
        assert len(refused.complaint) == 1
        assert "--rebuild" in refused.complaint[0]
        moved.on_data("city", "load", west, "--rebuild").ok()
        moved.start()
        assert moved.post(events[len(events) // 2 :]).status == 202
        moved.settled(len(events))
        moved.on_data("state", "verify").ok()
        rebuilt = moved.dump()
    with City(roots[1], west) as fresh:
        assert fresh.post(events).status == 202
        fresh.settled(len(events))
        assert rebuilt == fresh.dump()
    assert before not in rebuilt
