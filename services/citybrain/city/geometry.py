"""Own how a GeoJSON geometry becomes a shape. Called by area_file; a ValueError's text is the problem. Pure."""

from __future__ import annotations

import math
import re

import shapely

Shape = shapely.Polygon | shapely.MultiPolygon
Position = tuple[float, float]
_ACCEPTED_CRS = re.compile(
    r"(urn:ogc:def:crs:OGC:[0-9.]*:CRS84|(urn:ogc:def:crs:)?EPSG:[0-9.]*:?(4326|4490)|WGS[ _]?(19)?84|CGCS[ _]?2000)",
    re.IGNORECASE,
)


def check_crs(crs: object) -> None:
    """WGS 84, and CGCS 2000, which differs by centimetres, are taken; RFC 7946 knows no other."""
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if not isinstance(name, str) or not _ACCEPTED_CRS.fullmatch(name):
        raise ValueError(
            f"coordinates in {name!r} are not read: write them in WGS 84 or CGCS 2000 degrees (EPSG:4326, EPSG:4490)"
        )


def read_shape(geometry: object) -> Shape:
    """A valid Polygon or MultiPolygon, in degrees; heights are left out, either winding is taken."""
    kind, coordinates = (geometry.get("type"), geometry.get("coordinates")) if isinstance(geometry, dict) else ("thing", None)
    if kind == "Polygon":
        shape: Shape = _polygon(coordinates)
    elif kind == "MultiPolygon":
        shape = shapely.MultiPolygon([_polygon(one) for one in _list(coordinates, "a MultiPolygon")])
    else:
        raise ValueError(f"is a {kind!r}, has to be a Polygon or a MultiPolygon")
    if not shapely.is_valid(shape):
        raise ValueError(f"is no valid shape: {shapely.is_valid_reason(shape)}")
    return shape


def _polygon(coordinates: object) -> shapely.Polygon:
    shell, *holes = [_ring(one) for one in _list(coordinates, "a Polygon")]
    return shapely.Polygon(shell, holes)


def _ring(coordinates: object) -> list[Position]:
    ring = [_position(one) for one in _list(coordinates, "a ring")]
    if len(ring) < 4:
        raise ValueError("a ring needs four positions or more, the last one equal to the first")
    if ring[0] != ring[-1]:
        raise ValueError(f"a ring is not closed: it begins at {ring[0]} and ends at {ring[-1]}")
    return ring


def _position(value: object) -> Position:
    if not isinstance(value, list) or len(value) < 2:
        raise ValueError("a position has to be [longitude, latitude]")
    lon, lat = value[0], value[1]
    if type(lon) not in (int, float) or type(lat) not in (int, float) or math.isnan(lon + lat):
        raise ValueError("a position has to be two numbers")
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise ValueError(f"[{lon}, {lat}] is not [longitude, latitude] in degrees")
    return float(lon), float(lat)


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{what} has to hold coordinates")
    return value
