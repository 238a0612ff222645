"""Measure points to grids over 10,000 generated grids: `python tests/bench/bench_places.py` prints points a second, one at a
time and 1,000 at once, and how long a roster of 100,000 lines takes to read."""

from __future__ import annotations

import json
import random
import sys
import time
from datetime import UTC, datetime
from typing import Any

from citybrain.city import City, parse_city

SIDE, POINTS, BATCH, LINES = 100, 50_000, 1_000, 100_000
AT = datetime(2026, 1, 1, tzinfo=UTC)


def _feature(code: str, level: str, parent: str | None, ring: list[tuple[float, float]]) -> dict[str, Any]:
    properties = {"code": code, "level": level, "name": {"en": code, "zh": code}, "parent": parent}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}}


def _areas(dice: random.Random) -> tuple[str, list[str]]:
    """One square degree: 100 communities of 100 irregular grids, of which each seventh has a beginning."""

    def corner(column: int, row: int) -> tuple[float, float]:
        return places[column * (SIDE + 1) + row]

    def moved(n: int) -> float:
        return (n + (dice.uniform(-0.3, 0.3) if 0 < n < SIDE else 0)) / SIDE

    places = [(moved(column), moved(row)) for column in range(SIDE + 1) for row in range(SIDE + 1)]
    whole = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    features = [_feature("610600", "city", None, whole), _feature("610602", "district", "610600", whole)]
    features.append(_feature("610602001", "street", "610602", whole))
    codes = []
    for column in range(SIDE):
        community = f"610602001{column:03}"
        features.append(_feature(community, "community", "610602001", whole))
        for row in range(SIDE):
            ring = [corner(column, row), corner(column + 1, row), corner(column + 1, row + 1), corner(column, row + 1)]
            codes.append(f"{community}{row:03}")
            features.append(_feature(codes[-1], "grid", community, ring))
            if row % 7 == 0:
                features[-1]["properties"]["valid_from"] = "2020-01-01"
    return json.dumps({"type": "FeatureCollection", "features": features}), codes


def _city(dice: random.Random) -> City:
    areas, codes = _areas(dice)
    lines = (f"m-{n},utility.reading,{codes[n % len(codes)]},water.flow,15m,2020-01-01" for n in range(LINES))
    files = {
        "city.yaml": b"name: {en: Bench, zh: Bench}\ntimezone: Asia/Shanghai\n",
        "areas.geojson": areas.encode(),
        "assets.csv": "\n".join(["subject,type,area,metrics,every,valid_from", *lines]).encode(),
    }
    begun = time.perf_counter()
    city = parse_city(files)
    _tell("profile of 10,000 grids and 100,000 assets read in", f"{time.perf_counter() - begun:.2f} s")
    return city


def _tell(what: str, figure: str) -> None:
    sys.stdout.write(f"{what:<60} {figure}\n")


def main() -> None:
    """Print the figures."""
    dice = random.Random(1)
    city = _city(dice)
    lons, lats = [dice.random() for _ in range(POINTS)], [dice.random() for _ in range(POINTS)]
    begun = time.perf_counter()
    single = [city.places.grid_at(lon, lat, AT) for lon, lat in zip(lons, lats, strict=True)]
    _tell("one at a time", f"{POINTS / (time.perf_counter() - begun):,.0f} points/s")
    begun = time.perf_counter()
    many: list[str | None] = []
    for start in range(0, POINTS, BATCH):
        stretch = slice(start, start + BATCH)
        many += city.places.grids_at(lons[stretch], lats[stretch], [AT] * BATCH)
    _tell("1,000 at once", f"{POINTS / (time.perf_counter() - begun):,.0f} points/s")
    if many != single or None in many:
        raise SystemExit("the two ways do not agree")


if __name__ == "__main__":
    main()
