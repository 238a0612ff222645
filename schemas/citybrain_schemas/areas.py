"""Where things are: the length of an area's code, and a point on the map. Used by the envelope and the payload models."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from citybrain_schemas.values import Bounds

MAX_AREA_CODE_CHARS = 32
_LONGITUDE = Bounds(-180, 180)
_LATITUDE = Bounds(-90, 90)
_ALTITUDE = Bounds()


def _position(value: object) -> tuple[int | Decimal, ...]:
    if not isinstance(value, list | tuple) or len(value) not in (2, 3):
        raise PydanticCustomError("position", "must be [longitude, latitude] or [longitude, latitude, altitude]")
    bounds = (_LONGITUDE, _LATITUDE, _ALTITUDE)
    return tuple(one.check(number) for one, number in zip(bounds, value, strict=False))


def _json_position(value: tuple[int | Decimal, ...]) -> list[int | float]:
    return [number if isinstance(number, int) else float(number) for number in value]


Position = Annotated[
    tuple[int | Decimal, ...],
    PlainValidator(_position),
    PlainSerializer(_json_position, when_used="json"),
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}),
]
Crs = Literal["WGS84", "EPSG:4326", "CGCS2000", "EPSG:4490"]


class Point(BaseModel):
    """A GeoJSON Point: longitude first. WGS 84 unless `crs` declares CGCS 2000, which agrees with it to centimetres."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["Point"]
    coordinates: Position
    crs: Crs | None = None
