"""`/v1/alerts`: what fires and has fired, with its log, and what people do about it. Called by router.

Handling an alert is asked of the alert role by a command, which it does within a second: hence 202.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, get_args
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from citybrain.api.params import Cursor, Cursors, Instant, Limit, Moment, Text, identity, known_area, unknown
from citybrain.api.parts import ApiParts
from citybrain.api.replies import Page, json_reply, page_reply, tagged_reply
from citybrain.store import alert_reads, window_reads
from citybrain.store.alert_reads import AlertFilter, Asked, Opened
from citybrain.store.pool import translated
from citybrain.web import answers, invalid
from citybrain_schemas.alerts import Alert, AlertState, AlertWithLog, Links, Severity

Act = Literal["acknowledge", "unacknowledge", "comment", "close"]
_SUMMARIES = {
    "acknowledge": "Somebody has it in hand: nobody is reminded or escalated to",
    "unacknowledge": "Nobody has it in hand any more",
    "comment": "Say something in its log",
    "close": "Nobody is to hear of it any more; the condition goes on by itself",
}
_LAST = Opened(datetime(2199, 12, 31, tzinfo=UTC), UUID(int=2**128 - 1))
_CURSORS = Cursors("alerts", tuple[Moment, UUID])


class Handle(BaseModel):
    """Why, and until when an acknowledgement holds (without it: as long as the alert lasts)."""

    model_config = ConfigDict(extra="forbid")

    comment: Text | None = None
    until: Instant | None = None


class AskedFor(BaseModel):
    """The alert, and the number of the command that the alert role does next."""

    id: str
    command: int


def add_alerts(router: APIRouter, parts: ApiParts) -> None:
    """The routes."""

    @router.get("/v1/alerts", summary="Alerts, those that opened last first", responses=answers(404, done={200: Page}))
    async def alerts(  # noqa: PLR0913, PLR0917 - the filters of the contract
        state: Annotated[AlertState | None, Query(description="without it all but pending")] = None,
        severity: Severity | None = None,
        area: Annotated[Text | None, Query(description="this area and what lies below")] = None,
        rule: Text | None = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        if area is not None:
            known_area(parts.city().areas, area)
        position = _CURSORS.read(cursor)
        before = _LAST if position is None else Opened(*position)
        with translated():
            async with parts.pool.acquire() as connection:
                rows = await alert_reads.page(connection, AlertFilter(state, severity, area, rule), before, limit + 1)
        following = _CURSORS.write(rows[limit - 1][0]) if len(rows) > limit else None
        return page_reply([_form(alert, parts) for _, alert in rows[:limit]], following)

    @router.get(
        "/v1/alerts/{id}",
        summary="An alert with its log and evidence",
        responses=answers(304, 404, done={200: AlertWithLog}),
    )
    async def alert(request: Request, id: Text) -> Response:  # noqa: A002 - the contract's name
        alert_id = identity("alert", id)
        async with window_reads.snapshot(parts.pool) as connection:
            found = (await alert_reads.by_id(connection, [alert_id])).get(alert_id)
            log = await alert_reads.log_of(connection, alert_id)
        if found is None:
            raise unknown("alert", id)
        return tagged_reply(request, _form(found, parts) | {"log": [entry.model_dump(mode="json") for entry in log]})

    for act in get_args(Act):
        _add_act(router, parts, act)


def _add_act(router: APIRouter, parts: ApiParts, act: Act) -> None:
    @router.post(
        f"/v1/alerts/{{id}}/{act}", summary=_SUMMARIES[act], name=f"{act}_alert", status_code=202,
        responses=answers(400, 404, 408, 413, done={202: AskedFor}), dependencies=[Depends(parts.operator)],
    )  # fmt: skip
    async def handle(request: Request, id: Text, asked: Handle | None = None) -> Response:  # noqa: A002 - the contract's name
        principal, now = await parts.operator(request), parts.clock()
        what = asked or Handle()
        if act == "comment" and not what.comment:
            raise invalid("comment", "is required")
        if what.until is not None and (act != "acknowledge" or what.until <= now):
            raise invalid("until", "is for acknowledging, and must lie ahead")
        wish = Asked(identity("alert", id), act, principal.name, what.comment, what.until)
        with translated():
            async with parts.pool.acquire() as connection:
                command = await alert_reads.ask(connection, wish, now)
        if command is None:
            raise unknown("alert", id)
        return json_reply({"id": id, "command": command}, status=202)


def _form(alert: Alert, parts: ApiParts) -> dict[str, object]:
    return alert.model_copy(update={"links": Links.of(parts.public_url, alert.id)}).model_dump(mode="json")
