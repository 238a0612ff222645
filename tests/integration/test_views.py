"""The views that Grafana and analysts read: every stored window once, whatever parents an area had; where areas lie."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from citybrain.aggregate.modes import metric_rows
from citybrain.profiles import load, parse
from citybrain.store.dictionary import put_metrics
from pipeline import pipeline
from records import GRIDS, T0, accepted, city_files, minutes_later, occupancy, reading, records

MOVED = GRIDS[0]


def profile() -> dict[str, bytes]:
    """The small city; one grid changes its community at its second midnight, sixteen hours after T0."""
    files = city_files()
    document: dict[str, Any] = json.loads(files["areas.geojson"])
    [before] = [one for one in document["features"] if one["properties"]["code"] == MOVED]
    after = json.loads(json.dumps(before))
    at = "2026-03-02"
    before["properties"]["valid_to"], after["properties"]["valid_from"] = at, at
    after["properties"]["parent"] = GRIDS[2][:12]
    document["features"].append(after)
    return files | {"areas.geojson": json.dumps(document).encode()}


def happenings() -> list[dict[str, Any]]:
    """Car parks in every grid, before and after the move, and reports of a source without a subject."""
    found: list[dict[str, Any]] = []
    for n, grid in enumerate(GRIDS):
        lot = {"area": grid, "subject": f"lot-{n}"}
        found += [occupancy(f"{n}-{hour}", minutes_later(60 * hour), 40 + n, **lot) for hour in (0, 1, 17)]
        case = {"type": "citizen.report", "source": "/citizens", "subject": None, "area": grid, "data": {"category": "pothole"}}
        found.append(accepted(f"c-{n}", minutes_later(2), [reading("citizen.reports", 1)], **case))
    return found


async def test_every_stored_window_is_shown_once(database: str) -> None:
    files = profile()
    city = parse(files)
    async with pipeline(database, city) as running:
        await load(running.pool, files, city)
        await put_metrics(running.pool, metric_rows())
        await running.post(records(happenings()))
        await running.beat(T0 + timedelta(days=2))
        await running.drain()
        moved = await running.pool.fetch(
            "select count(distinct parent) from metric_window_1m w join series s on s.series_no = w.series"
            " where s.area = $1 and s.subject is null and s.source is null and s.metric = 'parking.occupied'", MOVED
        )  # fmt: skip
        assert moved[0][0] == 2, "the grid's rows lie under both communities"
        for step in ("1m", "1h", "1d"):
            stored = await running.rows(step, "parking.occupied") + await running.rows(step, "citizen.reports")
            shown = await running.pool.fetch(
                f"select metric, area, subject, source, start, count, sum, min, max, last, subjects from v_window"
                f" where step = '{step}' and metric in ('parking.occupied', 'citizen.reports')"
            )
            names = ("metric", "area", "subject", "source", "start", "count", "sum", "min", "max", "last", "subjects")
            assert len(shown) > 20
            assert sorted(map(repr, (tuple(row[name] for name in names) for row in stored))) == sorted(
                map(repr, (tuple(row) for row in shown))
            )


async def test_an_area_lies_in_the_middle_of_its_outline(database: str) -> None:
    files = city_files()
    islands = {"type": "MultiPolygon", "coordinates": [[[[1, 2], [3, 2], [3, 4], [1, 2]]], [[[5, 6], [7, 8], [5, 8], [5, 6]]]]}
    async with pipeline(database, parse(files)) as running:
        await load(running.pool, files, parse(files))
        await running.pool.execute("update area set geometry = $1 where code = $2", json.dumps(islands), GRIDS[1])
        found = {row["code"]: (row["lon"], row["lat"]) for row in await running.pool.fetch("select code, lon, lat from v_area")}
    assert found[GRIDS[0]] == pytest.approx((109.05, 36.05))
    assert found["610600"] == pytest.approx((109.4, 36.05))
    assert found[GRIDS[1]] == pytest.approx((4, 5))


async def test_the_list_of_series_says_what_was_measured_where(database: str) -> None:
    files = profile()
    async with pipeline(database, parse(files)) as running:
        await load(running.pool, files, parse(files))
        await put_metrics(running.pool, metric_rows())
        await running.post(records([occupancy("a", T0, 4)]))
        await running.drain()
        rows = await running.pool.fetch("select metric, unit, kind, across from v_series where subject = 'lot-1' order by 1")
    assert [tuple(row) for row in rows] == [
        ("parking.occupied", "spaces", "gauge", "sum"),
        ("parking.occupied_ratio", "1", "gauge", "ratio"),
    ]
