"""A map of areas: their outlines in place of the map of streets that Grafana fetches, and the circles that it draws. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from drawing.figures import COLOURS
from drawing.svg import label, line

Ring = list[tuple[float, float]]
_LEAST, _MOST = 8.0, 22.0  # radius, as the panel's style says


def circles(rows: Sequence[Mapping[str, Any]], shapes: Sequence[str], place: tuple[float, float, float, float]) -> str:
    """As large as there are open alerts, red where one is severe."""
    rings = [ring for shape in shapes for ring in _rings(json.loads(shape))]
    if not rings:
        return ""
    x, y, width, height = place
    longitudes, latitudes = zip(*(point for ring in rings for point in ring), strict=True)
    west, east, south, north = min(longitudes), max(longitudes), min(latitudes), max(latitudes)
    narrow = math.cos(math.radians((south + north) / 2))
    size = min((width - 40) / ((east - west) * narrow), (height - 60) / (north - south))
    middle = (x + width / 2, y + height / 2)

    def at(lon: float, lat: float) -> tuple[float, float]:
        return (
            middle[0] + (lon - (west + east) / 2) * narrow * size,
            middle[1] - (lat - (south + north) / 2) * size,
        )

    found = "".join(f'<path class="area" d="{line([at(*point) for point in ring])}z"/>' for ring in rings)
    most = max((row["alerts"] for row in rows), default=1) or 1
    for row in rows:
        cx, cy = at(row["longitude"], row["latitude"])
        radius = _LEAST + (_MOST - _LEAST) * row["alerts"] / most
        colour = COLOURS["red" if row["severe"] else "green"]
        found += f'<circle cx="{cx:.0f}" cy="{cy:.0f}" r="{radius:.0f}" fill="{colour}" fill-opacity=".7"/>'
        found += label(cx, cy - radius - 5, row["name"], "middle")
    return found


def _rings(geometry: Mapping[str, Any]) -> Iterator[Ring]:
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    for polygon in polygons:
        yield [(lon, lat) for lon, lat, *_ in polygon[0]]
