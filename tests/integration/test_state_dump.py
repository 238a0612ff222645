"""Equal sets of events give equal bytes, whatever the order, the batches, and how far time has come."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from citybrain.aggregate.modes import metric_rows
from citybrain.api.sorted_lines import SortedLines
from citybrain.api.state import dump
from citybrain.city import City
from citybrain.store.dictionary import put_metrics
from pipeline import Pipeline, pipeline
from postgres import Databases, fresh_database
from records import CITY, GRIDS, T0, accepted, minutes_later, occupancy, reading, record, records, register, small_city


async def dumped(city: Pipeline, profile: City) -> list[str]:
    await put_metrics(city.pool, metric_rows())
    return [line async for line in dump(city.pool, profile)]


def events() -> list[dict[str, Any]]:
    dice = random.Random(3)
    found = [
        occupancy(f"p{n}", minutes_later(dice.randrange(60 * 60)), dice.randrange(9), 7, subject=f"lot-{lot}", area=GRIDS[lot])
        for n, lot in ((n, dice.randrange(5)) for n in range(150))
    ]
    found += [register(f"r{n}", T0 + timedelta(hours=n, minutes=7 * n), 100 + n * Decimal("1.5")) for n in range(40)]
    found += [
        accepted(
            f"c{n}", minutes_later(30 * n), [reading("citizen.reports", 1)], type="citizen.report", subject=None, area=GRIDS[6]
        )
        for n in range(20)
    ]
    found += [
        accepted(
            f"b{n}", minutes_later(40 * n), [reading("bin.level", n)], type="bin.level", subject=f"bin-{n % 3}", area=GRIDS[n % 3]
        )
        for n in range(30)
    ]
    return found


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Asia/Kathmandu"])
async def test_order_batches_and_watermark_do_not_show(database: str, other_database: str, zone: str) -> None:
    profile, whole = small_city(zone), events()
    async with pipeline(database, profile) as one:
        await one.post(records(whole))
        await one.beat(T0 + timedelta(days=30))
        await one.drain()
        first = await dumped(one, profile)
    shuffled = random.Random(1).sample(whole, len(whole))
    async with pipeline(other_database, profile, partitions=2) as two:
        for at in range(0, len(shuffled), 50):
            await two.beat(T0 + timedelta(hours=25))
            await two.post(records(shuffled[at : at + 50] + shuffled[max(0, at - 5) : at]))
            await two.drain()
        second = await dumped(two, profile)
        assert await two.pool.fetchval("select count(*) from dirty_later") > 0  # hours and days that it does not store yet
    assert second == first
    assert first == sorted(first)
    tables = Counter((row["table"], row.get("step")) for row in map(json.loads, first))
    assert tables["event", None] == len(whole)
    assert tables["asset_state", None] == 5 + 1 + 3
    assert min(tables["metric_window", step] for step in ("1m", "1h", "1d")) > 20


@pytest.fixture
async def other_database(databases: Databases) -> AsyncIterator[str]:
    """Another fresh database of the same server."""
    async with fresh_database(databases) as dsn:
        yield dsn


async def test_rows_hold_what_the_events_say_and_nothing_of_ours(database: str) -> None:
    profile = small_city()
    async with pipeline(database, profile) as city:
        await city.post([record(occupancy("x", T0, 3, 4, extensions={"trace": "1"})), record(occupancy("y", T0, 5, 4))])
        await city.drain()
        lines = await dumped(city, profile)
    rows = [json.loads(line, parse_float=Decimal) for line in lines]
    assert {
        "table": "event", "time": "2026-03-01T00:00:00.000000Z", "source": "/test", "id": "x", "type": "parking.occupancy",
        "subject": "lot-1", "area": GRIDS[0], "given_area": None, "flags": [], "data": {"capacity": 4, "occupied": 3},
    } in rows  # fmt: skip
    assert {
        "table": "asset_state", "subject": "lot-1", "type": "parking.occupancy", "area": GRIDS[0], "source": "/test", "id": "y",
        "time": "2026-03-01T00:00:00.000000Z", "data": {"capacity": 4, "occupied": 5},
    } in rows  # fmt: skip
    days = [row for row in rows if row.get("step") == "1d" and row["area"] == CITY and row["metric"] == "parking.occupied_ratio"]
    assert days == [{
        "table": "metric_window", "step": "1d", "start": "2026-02-28T16:00:00.000000Z", "metric": "parking.occupied_ratio",
        "area": CITY, "subject": None, "source": None, "count": 2, "subjects": 1, "sum": 2, "min": Decimal("0.75"),
        "max": Decimal("1.25"), "last": Decimal("1.25"), "value": 1,
    }]  # fmt: skip
    assert not any(word in line for line in lines for word in ("revision", "accepted_at", "final", "offset", "trace"))


async def test_either_of_two_spellings_of_a_number_is_the_same_state(database: str, other_database: str) -> None:
    profile = small_city()
    spelt = [
        accepted("a", T0, [reading("parking.occupied", 1)], data={"b": [Decimal("1.50"), {}], "a": value})
        for value in (1, Decimal("1.0"))
    ]
    found = []
    for dsn, order in ((database, spelt), (other_database, spelt[::-1])):
        async with pipeline(dsn, profile) as city:
            for one in order:
                await city.post([record(one)])
                await city.drain()
            assert (await city.figures())[1:3] == (1, 1)
            found.append(await dumped(city, profile))
    assert found[0] == found[1]
    assert '"data":{"a":1,"b":[1.5,{}]}' in found[0][0] + found[0][-1]


def test_lines_that_do_not_fit_into_memory_are_sorted_all_the_same() -> None:
    lines = [f"{n:05d}é" for n in random.Random(2).sample(range(1000), 1000)]
    with_runs = SortedLines(run_lines=64)
    for line in lines:
        with_runs.add(line)
    assert list(with_runs) == sorted(lines)
    with_runs.close()
