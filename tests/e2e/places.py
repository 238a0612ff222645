"""A city for the end-to-end tests: two districts with one street, one community and two square unit grids each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

CITY, DISTRICTS = "610600", ("610601", "610602")
GRIDS = tuple(f"{district}001001{grid:03d}" for district in DISTRICTS for grid in (1, 2))
LEVELS = ("city", "district", "street", "community", "grid")
ROSTER_HEAD = "subject,type,area,every,valid_from"


def above(grid: str) -> tuple[str, ...]:
    """The codes from the city down to a grid."""
    return (CITY, grid[:6], grid[:9], grid[:12], grid)


def write_profile(folder: Path, zone: str = "Asia/Shanghai", roster: Iterable[str] = ()) -> Path:
    """Write the files of a profile; roster lines have the columns of ROSTER_HEAD."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = f"name: {{en: Test, zh: 试验市}}\ntimezone: {zone}\nhorizon_days: 5000\nretention: none\n"
    (folder / "city.yaml").write_text(settings, "utf-8")
    (folder / "areas.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": _features()}), "utf-8")
    (folder / "assets.csv").write_text("\n".join([ROSTER_HEAD, *roster]) + "\n", "utf-8")
    return folder


def _features() -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for column, grid in enumerate(GRIDS):
        parent = None
        for level, code in zip(LEVELS, above(grid), strict=True):
            west, east = {"city": (0, 4), "grid": (column, column + 1)}.get(level, (column // 2 * 2, column // 2 * 2 + 2))
            found.setdefault(code, _feature(code, level, parent, (west / 100, east / 100)))
            parent = code
    return list(found.values())


def _feature(code: str, level: str, parent: str | None, sides: tuple[float, float]) -> dict[str, Any]:
    west, east = 109 + sides[0], 109 + sides[1]
    ring = [[west, 36.0], [east, 36.0], [east, 36.01], [west, 36.01], [west, 36.0]]
    properties = {"code": code, "level": level, "name": {"en": code, "zh": code}, "parent": parent}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def minutes_ago(minutes: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes)


def occupancy(occupied: int = 3, **changed: object) -> dict[str, Any]:
    """A good event of a car park, ten minutes ago."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "/parking/gateway-7",
        "type": "parking.occupancy",
        "time": stamp(minutes_ago(10)),
        "subject": "lot-1",
        "area": GRIDS[0],
        "data": {"occupied": occupied, "capacity": 100},
    }
    return event | changed
