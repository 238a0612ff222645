"""`/v1/deliveries`: what was sent to whom, with every attempt, and sending it again. Called by router."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from citybrain.api.endpoint_problems import as_problems
from citybrain.api.params import Cursor, Cursors, From, Limit, Moment, Text, To, unknown
from citybrain.api.parts import ApiParts
from citybrain.api.replies import Page, json_reply, page_reply, tagged_reply
from citybrain.endpoints import manage
from citybrain.store import deliveries as store
from citybrain.store.deliveries import AttemptRow, DeliveryFilter, DeliveryRow
from citybrain.store.pool import translated
from citybrain.web import answers
from citybrain_schemas.instants import format_time

State = Literal["waiting", "delivered", "gave_up", "cancelled"]
Type = Literal["alert.firing", "alert.updated", "alert.resolved", "alert.escalated", "endpoint.test", "heartbeat"]
_LATEST = datetime(2199, 12, 31, tzinfo=UTC)
_LAST_ID = UUID(int=2**128 - 1)
_ANSWER_CHARS = 2000
_CURSORS = Cursors("deliveries", tuple[Moment, UUID])


class Attempt(BaseModel):
    """One try; `status` is null when there was no answer, `error` when the receiver took it."""

    attempt: int
    at: str
    took_ms: int
    status: int | None
    error: str | None
    answer: str | None


class Delivery(BaseModel):
    """A webhook to one endpoint; `webhook_id` is that of all its attempts."""

    id: str
    webhook_id: str
    endpoint: dict[str, str]
    type: str
    state: State
    alerts: list[str]
    group: str | None
    made_at: str
    next_attempt_at: str | None
    ended_at: str | None
    last_error: str | None
    attempts: list[Attempt]


class DeliveryWithBody(Delivery):
    """The same with the body that is sent (to group robots: that their message is made from)."""

    body: dict[str, object]


def add_deliveries(router: APIRouter, parts: ApiParts) -> None:
    """The routes."""

    @router.get("/v1/deliveries", summary="What was sent, newest first", responses={200: {"model": Page}})
    async def deliveries(  # noqa: PLR0913, PLR0917 - the filters
        endpoint: Annotated[Text | None, Query(description="name or id")] = None,
        state: State | None = None,
        type: Annotated[Type | None, Query(description="heartbeats are listed for this type alone")] = None,  # noqa: A002 - the contract's name
        alert: UUID | None = None,
        begin: From = None,
        end: To = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        before = _CURSORS.read(cursor) or (end or _LATEST, UUID(int=0) if end else _LAST_ID)
        wanted = DeliveryFilter(endpoint, state, type, alert, begin)
        with translated():
            async with parts.pool.acquire() as connection:
                rows = await store.page(connection, wanted, before, limit + 1)
                attempts = await store.attempts(connection, [row.delivery_id for row in rows[:limit]])
        following = _CURSORS.write((rows[limit - 1].made_at, rows[limit - 1].delivery_id)) if len(rows) > limit else None
        return page_reply([delivery_form(row, attempts.get(row.delivery_id, [])) for row in rows[:limit]], following)

    @router.get(
        "/v1/deliveries/{id}",
        summary="A delivery with its body",
        responses=answers(304, 404, done={200: DeliveryWithBody}),
    )
    async def delivery(request: Request, id: UUID) -> Response:  # noqa: A002 - the contract's name
        with translated():
            async with parts.pool.acquire() as connection:
                found = await store.one(connection, id)
                attempts = await store.attempts(connection, [id])
        if found is None:
            raise unknown("delivery", id)
        return tagged_reply(request, delivery_form(found[0], attempts.get(id, [])) | {"body": msgspec.Raw(found[1])})

    @router.post(
        "/v1/deliveries/{id}/resend", summary="Send it again at once, under the same webhook-id", status_code=202,
        responses=answers(404, 409), dependencies=[Depends(parts.operator)],
    )  # fmt: skip
    async def resend(id: UUID) -> Response:  # noqa: A002 - the contract's name
        with translated(), as_problems():
            async with parts.pool.acquire() as connection:
                if not await manage.resend(connection, id):
                    raise unknown("delivery", id)
        return json_reply({"id": str(id)}, status=202)


def delivery_form(row: DeliveryRow, attempts: Sequence[AttemptRow]) -> dict[str, Any]:
    """A delivery as people see it."""
    return {
        "id": str(row.delivery_id), "webhook_id": row.webhook_id, "endpoint": {"id": str(row.endpoint_id), "name": row.endpoint},
        "type": row.type, "state": row.state, "alerts": [str(one) for one in row.alert_ids], "group": row.group_key,
        "made_at": format_time(row.made_at),
        "next_attempt_at": format_time(row.next_attempt_at) if row.state == "waiting" else None,
        "ended_at": None if row.ended_at is None else format_time(row.ended_at), "last_error": row.last_error,
        "attempts": [_attempt_form(one) for one in attempts],
    }  # fmt: skip


def _attempt_form(row: AttemptRow) -> dict[str, Any]:
    answer = None if row.answer is None else row.answer.decode("utf-8", "replace")[:_ANSWER_CHARS]
    return {
        "attempt": row.attempt, "at": format_time(row.began_at), "took_ms": row.took_ms, "status": row.status, "error": row.error,
        "answer": answer,
    }  # fmt: skip
