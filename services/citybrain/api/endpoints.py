"""`/v1/endpoints`: receivers, for keys of role admin. Called by router. A secret is in one answer only: that of its making."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from citybrain.api.endpoint_problems import as_problems
from citybrain.api.params import Cursor, Cursors, Limit, Moment, Text
from citybrain.api.parts import ApiParts
from citybrain.api.replies import Page, json_reply, page_reply, tagged_reply
from citybrain.endpoints import manage
from citybrain.endpoints.manage import Changes, Format, Language, Wish
from citybrain.store import endpoints as store
from citybrain.store.endpoints import EndpointRow
from citybrain.store.pool import translated
from citybrain.web import answers
from citybrain_schemas.instants import format_time

UrlText = Annotated[str, Field(max_length=2048, description="a public https address, unless networks were allowed")]
Secret = Annotated[str, Field(max_length=200, description="whsec_ and base64 of 24 to 64 bytes")]
_CURSORS = Cursors("endpoints", tuple[Moment, UUID])


class NewEndpoint(BaseModel):
    """What a receiver is to be."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Text
    url: UrlText
    format: Format = "citybrain"
    default: Annotated[bool, Field(description="gets alerts that match no route")] = False
    language: Annotated[Language, Field(description="of what group robots are told")] = "zh"
    secret: Annotated[Secret | None, Field(description="without it one is made")] = None
    heartbeat: Annotated[bool, Field(description="gets a webhook of type heartbeat once a minute while every stage works")] = (
        False
    )


class EndpointChanges(BaseModel):
    """What is to change. A `secret` begins a rotation: for 24 h the one before signs, too."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Text | None = None
    url: UrlText | None = None
    format: Format | None = None
    default: bool | None = None
    language: Language | None = None
    secret: Secret | None = None
    heartbeat: bool | None = None
    disabled: bool | None = None


class EndpointHealth(BaseModel):
    """How sending to it went lately; while `left_alone_until` is ahead nothing is sent."""

    requests: int
    failures: int
    left_alone_until: str | None
    failing_since: str | None
    last_success: str | None
    last_failure: str | None


class Endpoint(BaseModel):
    """A receiver."""

    id: str
    name: str
    url: str
    format: str
    default: bool
    language: str
    heartbeat: bool
    made_by: str
    made_at: str
    state: Literal["enabled", "disabled"]
    disabled_at: str | None
    disabled_why: str | None
    health: EndpointHealth | None


class MadeEndpoint(Endpoint):
    """A receiver, with the secret that is shown this once."""

    secret: str


class Sending(BaseModel):
    """A delivery that is on its way."""

    id: str
    webhook_id: str


def add_endpoints(router: APIRouter, parts: ApiParts) -> None:
    """The routes."""
    admin = [Depends(parts.admin)]

    @router.get(
        "/v1/endpoints", summary="Receivers, in the order of their making", responses={200: {"model": Page}}, dependencies=admin
    )
    async def endpoints(limit: Limit = 100, cursor: Cursor = None) -> Response:
        after = _CURSORS.read(cursor)
        with translated():
            async with parts.pool.acquire() as connection:
                rows = await store.list_endpoints(connection, after, limit + 1)
        following = _CURSORS.write((rows[limit - 1].made_at, rows[limit - 1].endpoint_id)) if len(rows) > limit else None
        return page_reply([endpoint_form(row) for row in rows[:limit]], following)

    @router.get("/v1/endpoints/{id}", summary="A receiver", responses=answers(304, 404, done={200: Endpoint}), dependencies=admin)
    async def endpoint(request: Request, id: Text) -> Response:  # noqa: A002 - the contract's name
        with translated(), as_problems():
            async with parts.pool.acquire() as connection:
                return tagged_reply(request, endpoint_form(await manage.found(connection, id)))

    _add_changes(router, parts)


def _add_changes(router: APIRouter, parts: ApiParts) -> None:
    admin = [Depends(parts.admin)]

    @router.post(
        "/v1/endpoints",
        summary="Add a receiver",
        status_code=201,
        responses=answers(400, 408, 409, 413, done={201: MadeEndpoint}),
        dependencies=admin,
    )
    async def create(asked: NewEndpoint) -> Response:
        wish = Wish(asked.name, asked.url, asked.format, asked.default, asked.language, asked.secret, asked.heartbeat)
        with translated(), as_problems():
            async with parts.pool.acquire() as connection:
                row, secret = await manage.create(connection, wish, "api", parts.policy)
        return json_reply(endpoint_form(row) | {"secret": secret}, status=201)

    @router.patch(
        "/v1/endpoints/{id}",
        summary="Change a receiver",
        responses=answers(400, 404, 408, 409, 413, done={200: Endpoint}),
        dependencies=admin,
    )
    async def change(id: Text, asked: EndpointChanges) -> Response:  # noqa: A002 - the contract's name
        fields = asked.model_dump(exclude_none=True)
        secret = fields.pop("secret", None)
        if "default" in fields:
            fields["is_default"] = fields.pop("default")
        with translated(), as_problems():
            async with parts.pool.acquire() as connection:
                row = await manage.change(connection, id, Changes(fields, secret), parts.policy, parts.clock())
        return json_reply(endpoint_form(row))

    @router.delete(
        "/v1/endpoints/{id}", summary="Remove a receiver", status_code=204, responses=answers(404, 409), dependencies=admin
    )
    async def remove(id: Text) -> Response:  # noqa: A002 - the contract's name
        with translated(), as_problems():
            async with parts.pool.acquire() as connection:
                await manage.remove(connection, id)
        return Response(status_code=204)

    @router.post(
        "/v1/endpoints/{id}/test", summary="Send it a webhook of type endpoint.test", status_code=202,
        responses=answers(404, 409, done={202: Sending}), dependencies=admin,
    )  # fmt: skip
    async def test(id: Text) -> Response:  # noqa: A002 - the contract's name
        with translated(), as_problems():
            async with parts.pool.acquire() as connection:
                delivery_id, webhook_id = await manage.send_test(connection, id, parts.clock())
        return json_reply({"id": str(delivery_id), "webhook_id": webhook_id}, status=202)


def endpoint_form(row: EndpointRow) -> dict[str, Any]:
    """A receiver as people see it."""
    return {
        "id": str(row.endpoint_id), "name": row.name, "url": row.url, "format": row.format, "default": row.is_default,
        "language": row.language, "heartbeat": row.heartbeat, "made_by": row.made_by, "made_at": format_time(row.made_at),
        "state": "enabled" if row.disabled_at is None else "disabled",
        "disabled_at": None if row.disabled_at is None else format_time(row.disabled_at), "disabled_why": row.disabled_why,
        "health": _health_form(row),
    }  # fmt: skip


def _health_form(row: EndpointRow) -> dict[str, Any] | None:
    if row.requests is None:
        return None
    times = {
        "left_alone_until": row.open_until, "failing_since": row.failing_since, "last_success": row.last_success,
        "last_failure": row.last_failure,
    }  # fmt: skip
    shown = {name: None if at is None else format_time(at) for name, at in times.items()}
    return {"requests": row.requests, "failures": row.failures} | shown
