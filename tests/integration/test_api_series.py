"""`GET /v1/series` over rows that aggregate and rollup wrote."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from citybrain.api.steps import Step, StepName
from citybrain.city import City
from reading import Reading, reading
from records import CITY, DISTRICTS, GRIDS, T0, minutes_later, occupancy, records, small_city

ROSTER = "subject,type,area,every,valid_from\n"
DAY = (T0 - timedelta(days=1), T0 + timedelta(days=3))


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


async def test_points_of_an_asset_and_its_areas_have_every_figure(database: str) -> None:
    async with reading(database, small_city()) as city:
        await city.pipeline.post(
            records([
                occupancy("a", minutes_later(0, 5), 10),
                occupancy("b", minutes_later(0, 50), 21),
                occupancy("c", minutes_later(0, 7), 40, 50, subject="lot-2", area=GRIDS[1]),
            ])
        )  # fmt: skip
        await city.pipeline.beat(T0 + timedelta(days=3))
        await city.pipeline.drain()
        answer = await city.get(
            "/v1/series", metric="parking.occupied", area=GRIDS[0], subject="lot-1", step="1m", from_=T0, to=DAY[1]
        )
        assert answer.json == {
            "metric": "parking.occupied", "unit": "spaces", "area": GRIDS[0], "subject": "lot-1", "step": "1m", "next": None,
            "points": [{
                "start": "2026-03-01T00:00:00Z", "count": 2, "sum": 31, "min": 10, "max": 21, "avg": Decimal("15.5"), "last": 21,
                "value": Decimal("15.5"), "subjects": 1, "expected": None, "final": True, "revision": 0,
            }],
        }  # fmt: skip
        for step in ("1m", "1h", "1d"):
            [point] = await city.points("parking.occupied", CITY, step, DAY)
            assert (point["count"], point["value"], point["subjects"], point["last"]) == (3, Decimal("55.5"), 2, 21)
            [point] = await city.points("parking.occupied_ratio", DISTRICTS[0], step, DAY)
            assert point["value"] == Decimal("0.37")


def _truth(city: City, rows: list[dict[str, Any]], step: Step) -> dict[tuple[str, str | None], dict[str, Any]]:
    """Count, sum, value and subjects of every scope and window, straight from the readings."""
    piles: defaultdict[tuple[str, str | None], defaultdict[datetime, list[dict[str, Any]]]]
    piles = defaultdict(lambda: defaultdict(list))
    for row in rows:
        at = datetime.fromisoformat(row["time"])
        for scope in [(row["area"], row["subject"]), *((code, None) for code in city.areas.path_at(row["area"], at))]:
            piles[scope][step.floor(at)].append(row)
    return {scope: {iso(start): _figures(pile) for start, pile in found.items()} for scope, found in piles.items()}


def _figures(pile: list[dict[str, Any]]) -> tuple[int, int, Fraction, int]:
    own: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row in pile:
        own[row["subject"], row["area"]].append(row["data"]["occupied"])
    value = sum((Fraction(sum(values), len(values)) for values in own.values()), Fraction(0))
    return len(pile), sum(row["data"]["occupied"] for row in pile), value, len(own)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Asia/Kathmandu", "Europe/Rome"])
@pytest.mark.parametrize("watermark_h", [0, 31, 200])
async def test_open_and_stored_windows_equal_the_truth(database: str, zone: str, watermark_h: int) -> None:
    dice = random.Random(5)
    rows = [
        occupancy(f"e{n}", minutes_later(dice.randrange(72 * 60)), dice.randrange(90), subject=f"lot-{lot}", area=GRIDS[lot])
        for n, lot in ((n, dice.randrange(6)) for n in range(400))
    ]
    city_of = small_city(zone)
    async with reading(database, city_of) as city:
        await city.pipeline.post(records(rows))
        await city.pipeline.beat(T0 + timedelta(hours=watermark_h) if watermark_h else T0 - timedelta(days=9))
        await city.pipeline.drain()
        for name in ("1m", "1h", "1d"):
            await _compare(city, _truth(city_of, rows, Step(name, city_of.settings.zone)), name)


async def _compare(city: Reading, truth: dict[tuple[str, str | None], dict[str, Any]], step: StepName) -> None:
    for (area, subject), windows in truth.items():
        span = (T0 - timedelta(days=3), T0 + timedelta(days=9))
        points = await city.points("parking.occupied", area, step, span, subject=subject, limit=7)
        assert [point["start"] for point in points] == sorted(windows)
        for point in points:
            count, total, value, subjects = windows[point["start"]]
            assert (point["count"], point["sum"], point["subjects"]) == (count, total, subjects)
            assert abs(Fraction(point["value"]) - value) <= Fraction(4, 1_000_000)
