"""A city of two grids that share an edge, small enough to be read at a glance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from citybrain.city import City, parse_city

LEFT, RIGHT = "610600001001001001", "610600001001001002"
STREET = "610600001001"
HERE, THERE = (109.005, 36.005), (109.015, 36.005)  # in LEFT, in RIGHT
EDGE = (109.01, 36.005)
HORIZON_DAYS = 4000
_LEVELS = (("city", 6), ("district", 9), ("street", 12), ("community", 15))


def _feature(code: str, level: str, parent: str | None, west: float, east: float) -> dict[str, Any]:
    ring = [[west, 36.0], [east, 36.0], [east, 36.01], [west, 36.01], [west, 36.0]]
    properties = {"code": code, "level": level, "name": {"en": code, "zh": code}, "parent": parent}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def _features() -> Iterator[dict[str, Any]]:
    parent = None
    for level, length in _LEVELS:
        code = LEFT[:length]
        yield _feature(code, level, parent, 109.0, 109.02)
        parent = code
    yield _feature(LEFT, "grid", parent, 109.0, 109.01)
    yield _feature(RIGHT, "grid", parent, 109.01, 109.02)


def small_city() -> City:
    """Of the roster is known that `lot-known` is in RIGHT."""
    return parse_city(small_city_files())


def small_city_files() -> dict[str, bytes]:
    """Its profile."""
    settings = f"name: {{en: Small, zh: 小城}}\ntimezone: Asia/Shanghai\nhorizon_days: {HORIZON_DAYS}\nretention: none\n"
    return {
        "city.yaml": settings.encode(),
        "areas.geojson": json.dumps({"type": "FeatureCollection", "features": list(_features())}).encode(),
        "assets.csv": f"subject,type,area\nlot-known,parking.occupancy,{RIGHT}\n".encode(),
    }


def occupancy(**changed: object) -> dict[str, Any]:
    """A good event of a car park, posted now; `None` leaves an attribute out."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "/parking/gateway-7",
        "type": "parking.occupancy",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "subject": "lot-1",
        "area": LEFT,
        "data": {"occupied": 3, "capacity": 5},
    }
    return {name: value for name, value in (event | changed).items() if value is not None}


def meter(value: object, unit: str, quantity: str = "flow", medium: str = "water", **changed: object) -> dict[str, Any]:
    """A good reading of a meter."""
    data = {"medium": medium, "quantity": quantity, "value": value, "unit": unit}
    return occupancy(type="utility.reading", subject="meter-1", data=data, **changed)


def report(place: tuple[float, float] | None = HERE, **changed: object) -> dict[str, Any]:
    """A good report of a citizen, without an area."""
    data: dict[str, object] = {"category": "pothole", "description": "deep"}
    if place is not None:
        data |= {"location": {"type": "Point", "coordinates": list(place)}}
    return occupancy(**({"type": "citizen.report", "subject": None, "area": None, "data": data} | changed))
