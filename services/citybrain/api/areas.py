"""`GET /v1/areas`, `/v1/areas/{code}` and `/v1/areas.geojson`: the hierarchy as the profile has it. Called by router."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from citybrain.api.params import Cursor, Cursors, Instant, Limit, Text, known_area
from citybrain.api.parts import ApiParts
from citybrain.api.replies import GEOJSON, FeatureCollection, GeoJson, Page, page_reply, tagged_reply
from citybrain.city import Area, Areas, Level
from citybrain.web import answers
from citybrain_schemas.instants import format_time

_CURSORS = Cursors("areas", tuple[str, str])


def add_areas(router: APIRouter, parts: ApiParts) -> None:
    """The routes."""

    @router.get("/v1/areas", summary="All areas, each version, by code", responses={200: {"model": Page}})
    async def areas(level: Level | None = None, limit: Limit = 1000, cursor: Cursor = None) -> Response:
        position = _CURSORS.read(cursor)
        found = [one for one in parts.city().areas.versions if level in {None, one.level}]
        first = 0 if position is None else bisect_right(found, position, key=_position)
        page = found[first : first + limit]
        following = _CURSORS.write(_position(page[-1])) if len(found) > first + limit else None
        return page_reply([version_form(one) for one in page], following)

    @router.get(
        "/v1/areas.geojson",
        summary="Geometry of the areas of a level, or of all",
        response_class=GeoJson,
        responses=answers(done={200: FeatureCollection}),
    )
    async def geojson(
        level: Level | None = None,
        at: Annotated[Instant | None, Query(description="as they were then; now without it")] = None,
    ) -> Response:
        whole = await asyncio.to_thread(parts.city().areas.geojson, level, at or parts.clock())
        return Response(await asyncio.to_thread(msgspec.json.encode, whole), media_type=GEOJSON)

    @router.get("/v1/areas/{code}", summary="One area", responses=answers(304, 404))
    async def area(request: Request, code: Text) -> Response:
        areas_now = parts.city().areas
        return tagged_reply(request, area_form(areas_now, known_area(areas_now, code), parts.clock()))


def version_form(one: Area) -> dict[str, Any]:
    """A version of an area without its shape."""
    begin, end = one.validity.valid_from, one.validity.valid_to
    return {
        "code": one.code,
        "level": one.level,
        "name": {"en": one.name.en, "zh": one.name.zh},
        "parent": one.parent,
        "valid_from": None if begin is None else format_time(begin),
        "valid_to": None if end is None else format_time(end),
    }


def area_form(areas: Areas, code: str, now: datetime) -> dict[str, Any]:
    """An area as it is now, with what is above and below it now, and all its versions."""
    return version_form(areas.version_at(code, now)) | {
        "path": areas.path_at(code, now),
        "children": areas.children_at(code, now),
        "versions": [version_form(one) for one in areas.versions if one.code == code],
    }


def _position(one: Area) -> tuple[str, str]:
    return one.code, one.validity.begin.isoformat()
