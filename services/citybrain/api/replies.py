"""Answers as JSON: exact numbers, times in UTC with Z, ETags. Called by the routes. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Literal

import msgspec
from fastapi import Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

JSON = "application/json"
GEOJSON = "application/geo+json"
_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')  # W/ before it, or not
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class FeatureCollection(BaseModel):
    """GeoJSON (RFC 7946)."""

    type: Literal["FeatureCollection"]
    features: list[dict[str, object]]


class GeoJson(JSONResponse):
    """Says to OpenAPI what kind of answer it is."""

    media_type = GEOJSON


class Page(BaseModel):
    """A part of a list; `next` is the `cursor` of the following part, null on the last one."""

    items: list[dict[str, object]]
    next: str | None


def json_reply(content: object, media_type: str = JSON, status: int = 200) -> Response:
    """An answer with JSON."""
    return Response(_ENCODER.encode(content), status, media_type=media_type)


def page_reply(items: Sequence[object], next_cursor: str | None) -> Response:
    """A page of a list."""
    return json_reply({"items": items, "next": next_cursor})


def tagged_reply(request: Request, content: object) -> Response:
    """A single resource with its ETag, or 304 when the caller has it already."""
    body = _ENCODER.encode(content)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if _has_already(request.headers.getlist("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=JSON)


def _has_already(lines: Sequence[str], tag: str) -> bool:
    """Whether If-None-Match (RFC 9110, 13.1.2) names the tag, compared weakly, or says `*`."""
    said = ",".join(lines)
    return said.strip() == "*" or tag in _TAG.findall(said)
