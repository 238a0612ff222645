"""`/v1/silences`: what nobody is to be told of, from when until when, and why. Called by router.

A silence holds for notifications alone: alerts go on as they are, and what ends after it was told is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from citybrain.api.params import Cursor, Cursors, Instant, Limit, Moment, Text, identity, unknown
from citybrain.api.parts import ApiParts
from citybrain.api.replies import Page, json_reply, page_reply, tagged_reply
from citybrain.city import Areas
from citybrain.store import silences as store
from citybrain.store.pool import translated
from citybrain.store.silences import Silence
from citybrain.web import answers, invalid
from citybrain_schemas.alerts import SEVERITIES
from citybrain_schemas.instants import format_time

MAX_MATCHERS = 20
LONGEST_UNTIL_RESOLVED = timedelta(days=30)
_LATEST = datetime(2199, 12, 31, tzinfo=UTC)
_CURSORS = Cursors("silences", tuple[Moment, UUID])


class NewSilence(BaseModel):
    """What to silence. `from` is now unless given; `until` is needed unless it lasts until resolved (30 days at most)."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    matchers: Annotated[
        dict[Text, Text],
        Field(
            min_length=1, max_length=MAX_MATCHERS, description="all must match: rule, subject, severity, area (any level), labels"
        ),
    ]
    begins: Annotated[Instant | None, Field(alias="from")] = None
    until: Instant | None = None
    by: Annotated[Text | None, Field(description="the key's name unless given")] = None
    why: Text
    until_resolved: Annotated[bool, Field(description="ends with the last alert that it silences")] = False


class SilenceShown(BaseModel):
    """A silence. `ended_at`: deleted, or ended with the alert."""

    id: str
    state: Literal["waiting", "active", "ended"]
    matchers: dict[str, str]
    begins: Annotated[str, Field(alias="from")]
    until: str
    by: str
    why: str
    until_resolved: bool
    made_at: str
    ended_at: str | None


def add_silences(router: APIRouter, parts: ApiParts) -> None:
    """The routes."""
    operator = [Depends(parts.operator)]

    @router.get("/v1/silences", summary="Silences, the newest first", responses={200: {"model": Page}})
    async def silences(limit: Limit = 100, cursor: Cursor = None) -> Response:
        before = _CURSORS.read(cursor) or (_LATEST, UUID(int=2**128 - 1))
        with translated():
            async with parts.pool.acquire() as connection:
                rows = await store.page(connection, before, limit + 1)
        following = _CURSORS.write((rows[limit - 1].made_at, rows[limit - 1].silence_id)) if len(rows) > limit else None
        return page_reply([silence_form(one, parts.clock()) for one in rows[:limit]], following)

    @router.get("/v1/silences/{id}", summary="A silence", responses=answers(304, 404, done={200: SilenceShown}))
    async def silence(request: Request, id: Text) -> Response:  # noqa: A002 - the contract's name
        with translated():
            async with parts.pool.acquire() as connection:
                found = await store.find(connection, identity("silence", id))
        if found is None:
            raise unknown("silence", id)
        return tagged_reply(request, silence_form(found, parts.clock()))

    @router.post(
        "/v1/silences",
        summary="Silence alerts",
        status_code=201,
        responses=answers(400, 408, 413, done={201: SilenceShown}),
        dependencies=operator,
    )
    async def create(request: Request, asked: NewSilence) -> Response:
        principal, now = await parts.operator(request), parts.clock()
        made = _made(asked, principal.name, parts.city().areas, now)
        with translated():
            async with parts.pool.acquire() as connection:
                await store.put(connection, made)
        return json_reply(silence_form(made, now), status=201)

    @router.delete("/v1/silences/{id}", summary="End a silence", status_code=204, responses=answers(404), dependencies=operator)
    async def delete(id: Text) -> Response:  # noqa: A002 - the contract's name
        with translated():
            async with parts.pool.acquire() as connection:
                if not await store.end(connection, identity("silence", id), parts.clock()):
                    raise unknown("silence", id)
        return Response(status_code=204)


def _made(asked: NewSilence, key_name: str, areas: Areas, now: datetime) -> Silence:
    """The silence that is asked for. Raises Problem 422."""
    _check(asked.matchers, areas)
    begins = asked.begins or now
    until = asked.until or (begins + LONGEST_UNTIL_RESOLVED if asked.until_resolved else None)
    if until is None:
        raise invalid("until", "is required, unless until_resolved is true")
    if until <= max(begins, now):
        raise invalid("until", "must lie ahead, and after `from`")
    return Silence(uuid4(), asked.matchers, begins, until, asked.until_resolved, asked.by or key_name, asked.why, now)


def _check(matchers: Mapping[str, str], areas: Areas) -> None:
    """A misspelt matcher would silence nothing, and nobody would know."""
    if "area" in matchers and not areas.known(matchers["area"]):
        raise invalid("matchers.area", f"there is no area {matchers['area']!r}")
    if "severity" in matchers and matchers["severity"] not in SEVERITIES:
        raise invalid("matchers.severity", f"must be one of {', '.join(SEVERITIES)}")


def silence_form(silence: Silence, now: datetime) -> dict[str, Any]:
    """A silence as people see it."""
    over = silence.ended_at is not None or silence.ends <= now
    return {
        "id": str(silence.silence_id),
        "state": "ended" if over else "active" if silence.begins <= now else "waiting",
        "matchers": dict(silence.matchers),
        "from": format_time(silence.begins),
        "until": format_time(silence.ends),
        "by": silence.made_by,
        "why": silence.why,
        "until_resolved": silence.until_resolved,
        "made_at": format_time(silence.made_at),
        "ended_at": None if silence.ended_at is None else format_time(silence.ended_at),
    }
