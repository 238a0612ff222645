"""`GET /v1/events`, `/v1/event` and `/v1/conflicts`: what was posted, and where it went. Called by router."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from citybrain.access import Role
from citybrain.api.event_forms import conflict_form, event_form, metrics_fed, windows_form
from citybrain.api.event_list import list_events
from citybrain.api.event_path import where_it_went
from citybrain.api.hierarchy import hierarchy_of
from citybrain.api.params import Cursor, Cursors, From, Instant, Limit, Moment, Text, To, json_text, known_area
from citybrain.api.parts import ApiParts
from citybrain.api.replies import Page, page_reply, tagged_reply
from citybrain.api.steps import Step
from citybrain.store import event_reads, window_reads
from citybrain.store.event_reads import EventFilter, EventPosition
from citybrain.web import Problem, answers

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
AHEAD = timedelta(hours=1)
_LAST = "\U0010ffff"  # comes after every source and id
_EVENTS = Cursors("events", tuple[Moment, str, str])
_CONFLICTS = Cursors("conflicts", tuple[Moment, str, str, bytes])


class Event(BaseModel):
    """An event as it was stored. `area` is where it was put; `given_area` what it said, where that differs."""

    source: str
    id: str
    type: str
    time: str
    subject: str | None
    area: str
    data: dict[str, object]
    flags: list[str]
    accepted_at: str
    given_area: str | None = None
    extensions: dict[str, object] | None = None


class WhereItWent(Event):
    """An event, the windows that hold its readings, the alerts that saw it, what was sent of these, and other contents that were
    posted under its identity. `personal` is for operators."""

    windows: list[dict[str, object]]
    alerts: list[dict[str, object]]
    deliveries: list[dict[str, object]]
    conflicts: list[dict[str, object]]
    personal: dict[str, object] | None = None


def add_events(router: APIRouter, parts: ApiParts) -> None:
    """The routes."""

    @router.get("/v1/events", summary="Stored events, newest first", responses=answers(404, done={200: Page}))
    async def events(  # noqa: PLR0913, PLR0917 - the filters of the contract
        type: Annotated[Text | None, Query(description="type of event")] = None,  # noqa: A002 - the contract's name
        source: Text | None = None,
        subject: Text | None = None,
        area: Annotated[Text | None, Query(description="this area and what lies below")] = None,
        begin: From = None,
        end: To = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        areas = parts.city().areas
        below = None if area is None else sorted(hierarchy_of(areas).ever_below(known_area(areas, area)))
        end = end or parts.clock() + AHEAD
        position = _EVENTS.read(cursor)
        before = EventPosition(end, _LAST, _LAST) if position is None else EventPosition(*position)
        wanted = EventFilter(type, source, subject, below)
        async with window_reads.snapshot(parts.pool) as connection:
            listed = await list_events(connection, wanted, (begin or BEGINNING, end), before, limit)
        following = None if listed.position is None else _EVENTS.write(listed.position)
        return page_reply([event_form(row) for row in listed.rows], following)

    @router.get("/v1/conflicts", summary="Identities posted with different content", responses={200: {"model": Page}})
    async def conflicts(limit: Limit = 100, cursor: Cursor = None) -> Response:
        before = _CONFLICTS.read(cursor)
        async with window_reads.snapshot(parts.pool) as connection:
            rows = await event_reads.conflicts(connection, before, limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        following = None if last is None else _CONFLICTS.write((last.seen, last.source, last.id, last.fingerprint))
        return page_reply([conflict_form(row) for row in rows[:limit]], following)


def add_event(router: APIRouter, parts: ApiParts) -> None:
    """The route of one event."""

    @router.get("/v1/event", summary="One event, and where it went", responses=answers(304, 404, done={200: WhereItWent}))
    async def event(
        request: Request,
        source: Text,
        identity: Annotated[Text, Query(alias="id")],
        time: Annotated[Instant | None, Query(description="finds an event whose identity is no longer kept")] = None,
    ) -> Response:
        principal = await parts.reader(request)
        content = await _read_event(parts, source, identity, time, personal=principal.may(Role.OPERATOR))
        return tagged_reply(request, content)


async def _read_event(parts: ApiParts, source: str, identity: str, time: datetime | None, *, personal: bool) -> dict[str, object]:
    city = parts.city()
    async with window_reads.snapshot(parts.pool) as connection:
        row = await event_reads.find_event(connection, source, identity, time)
        if row is None:
            raise Problem(404, f"there is no event {identity!r} of source {source!r}")
        about_person = await event_reads.personal(connection, row)
        minute = Step("1m", city.settings.zone).floor(row.time)
        metrics = metrics_fed(row, about_person)
        fed = await event_reads.fed_minutes(connection, row, metrics, minute)
        went = await where_it_went(connection, city, row, metrics)
        others = await event_reads.conflicts_of(connection, source, identity)
    content = event_form(row) | {
        "windows": windows_form(row, fed, city),
        **went,
        "conflicts": [conflict_form(other) for other in others],
    }
    return content | {"personal": json_text(about_person)} if personal and about_person is not None else content
