"""`GET /v1/assets` and `/v1/assets/{subject}/holes`: who reported last when, and who is silent. Called by router."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from citybrain.api.hierarchy import hierarchy_of
from citybrain.api.holes import Due, Hole, Silence, dues, holes, is_silent
from citybrain.api.params import (
    Cursor,
    Cursors,
    From,
    Limit,
    Moment,
    Text,
    To,
    json_text,
    known_area,
)
from citybrain.api.parts import ApiParts
from citybrain.api.replies import Page, page_reply
from citybrain.city import City, Roster, RosterLine
from citybrain.store import asset_reads, window_reads
from citybrain.store.pool import Connection
from citybrain.store.window_reads import EARLIEST
from citybrain.web import Problem, answers
from citybrain_schemas.instants import format_time

CHUNK = 2_000
Key = tuple[str, str]
_ASSETS = Cursors("assets", tuple[str, str])
_HOLES = Cursors("holes", tuple[Moment, str])


def add_assets(router: APIRouter, parts: ApiParts) -> None:
    """The routes."""

    @router.get("/v1/assets", summary="The latest state of every asset", responses=answers(404, done={200: Page}))
    async def assets(
        area: Annotated[Text | None, Query(description="this area and what lies below now")] = None,
        type: Annotated[Text | None, Query(description="type of event")] = None,  # noqa: A002 - the contract's name
        silent: bool | None = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        city, now = parts.city(), parts.clock()
        below = None if area is None else hierarchy_of(city.areas).below(known_area(city.areas, area), now)
        async with window_reads.snapshot(parts.pool) as connection:
            watermark = (await window_reads.standing(connection)).watermark
            listing = _Listing(connection, city, watermark, now, below)
            found = await listing.page(_ASSETS.read(cursor) or ("", ""), type, silent, limit + 1)
        more = len(found) > limit
        items = found[:limit]
        return page_reply(items, _ASSETS.write((items[-1]["subject"], items[-1]["type"])) if more else None)

    @router.get("/v1/assets/{subject:path}/holes", summary="When an asset was silent", responses=answers(404, done={200: Page}))
    async def asset_holes(
        subject: Text, begin: From = None, end: To = None, limit: Limit = 1000, cursor: Cursor = None
    ) -> Response:
        position = _HOLES.read(cursor)
        async with window_reads.snapshot(parts.pool) as connection:
            found = await _holes_of(connection, parts.city(), subject, (begin or EARLIEST, end or parts.clock()))
        first = 0 if position is None else bisect_right(found, position, key=_begin)
        page = found[first : first + limit]
        following = _HOLES.write(_begin(page[-1])) if len(found) > first + limit else None
        return page_reply([_hole_form(*one) for one in page], following)


async def _holes_of(connection: Connection, city: City, subject: str, span: tuple[datetime, datetime]) -> list[tuple[Hole, str]]:
    """The holes that overlap a span, with the type of event that was due, in order. Raises Problem 404 for an unknown asset."""
    lines = city.roster.lines_of(subject)
    if not lines and not await asset_reads.states_of(connection, subject):
        raise Problem(404, f"there is no asset {subject!r}")
    if span[0] >= span[1]:
        return []
    watermark = (await window_reads.standing(connection)).watermark
    wanted = dues(lines)
    silences = await _silences(connection, wanted, span)
    found = [(hole, due.type) for due in wanted for hole in holes(silences[due.subject, due.type], due, watermark)]
    inside = [one for one in found if one[0].start < span[1] and (one[0].end is None or one[0].end > span[0])]
    return sorted(inside, key=_begin)


async def _silences(
    connection: Connection, wanted: Iterable[Due], span: tuple[datetime, datetime]
) -> defaultdict[tuple[str, str], list[Silence]]:
    """Silences of assets that overlap a span, by (subject, type)."""
    longest: dict[tuple[str, str], timedelta] = {}
    for due in wanted:
        key = (due.subject, due.type)
        longest[key] = min(due.longest, longest.get(key, due.longest))
    rows = await asset_reads.silences(connection, [asset_reads.Asked(*key, pause) for key, pause in longest.items()], *span)
    return defaultdict(list, {key: [Silence(*pair) for pair in pairs] for key, pairs in rows.items()})


def _begin(one: tuple[Hole, str]) -> tuple[datetime, str]:
    return one[0].start, one[1]


def _hole_form(hole: Hole, kind: str) -> dict[str, Any]:
    return {
        "start": format_time(hole.start),
        "end": None if hole.end is None else format_time(hole.end),
        "before": None if hole.before is None else format_time(hole.before),
        "after": None if hole.after is None else format_time(hole.after),
        "type": kind,
    }


@dataclass(frozen=True, slots=True)
class _Listing:
    """Stored states and rostered assets that never spoke, merged in order of (subject, type)."""

    connection: Connection
    city: City
    watermark: datetime | None
    now: datetime
    below: frozenset[str] | None

    async def page(self, after: Key, kind: str | None, silent: bool | None, limit: int) -> list[dict[str, Any]]:
        """At most `limit` assets that follow a position."""
        found: list[dict[str, Any]] = []
        until: Key | None = after
        while until is not None and len(found) < limit:
            after = until
            states = await asset_reads.page(self.connection, after, self.below, kind, CHUNK)
            rostered = self._rostered(after, kind)
            ends = [(one[-1].subject, one[-1].type) for one in (states, rostered) if len(one) == CHUNK]
            until = min(ends, default=None)
            near = {_key(line): line for line in rostered if until is None or _key(line) <= until}
            spoke = await asset_reads.known(self.connection, near)
            items = [self._spoken(state) for state in states if until is None or (state.subject, state.type) <= until]
            items += [self._never(line) for key, line in near.items() if key not in spoke]
            found += sorted((item for item in items if silent in {None, item["silent"]}), key=_order)
        return found[:limit]

    def _rostered(self, after: Key, kind: str | None) -> list[RosterLine]:
        """The roster's next lines, of those that are valid now."""
        at, lines = self.watermark or self.now, _in_order(self.city.roster)
        following = (lines[n] for n in range(bisect_right(lines, after, key=_key), len(lines)))
        wanted = (
            line
            for line in following
            if line.validity.holds(at) and kind in {None, line.type} and (self.below is None or line.area in self.below)
        )
        return list(islice(wanted, CHUNK))

    def _spoken(self, state: asset_reads.AssetState) -> dict[str, Any]:
        line = _line_at(self.city.roster.lines_of(state.subject), state.type, self.watermark or self.now)
        form = {"subject": state.subject, "type": state.type, "area": state.area, "last_seen": format_time(state.time)}
        quiet = self._silent(state.subject, state.type, state.time)
        return form | {"silent": quiet, "data": json_text(state.data)} | _facts(line)

    def _never(self, line: RosterLine) -> dict[str, Any]:
        form = {"subject": line.subject, "type": line.type, "area": line.area, "last_seen": None}
        return form | {"silent": self._silent(line.subject, line.type, None), "data": None} | _facts(line)

    def _silent(self, subject: str, kind: str, seen: datetime | None) -> bool:
        return is_silent(self.city.roster.lines_of(subject), kind, seen, self.watermark)


@lru_cache(maxsize=2)
def _in_order(roster: Roster) -> list[RosterLine]:
    return sorted(roster.lines, key=_key)


def _key(line: RosterLine) -> Key:
    return line.subject, line.type


def _order(item: dict[str, Any]) -> Key:
    return item["subject"], item["type"]


def _line_at(lines: Iterable[RosterLine], kind: str, at: datetime) -> RosterLine | None:
    return next((line for line in lines if line.type == kind and line.validity.holds(at)), None)


def _facts(line: RosterLine | None) -> dict[str, Any]:
    """What the roster says besides, null where it says nothing."""
    if line is None:
        return {"every_s": None, "name": None, "location": None, "capacity": None}
    every_s = None if line.every is None else int(line.every.total_seconds())
    name = {"en": line.facts.name.en, "zh": line.facts.name.zh}
    return {"every_s": every_s, "name": name, "location": line.facts.location, "capacity": line.facts.capacity}
