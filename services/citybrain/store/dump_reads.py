"""Reading whole tables row by row with bounded memory. Called by the state dump; decides nothing, writes nothing.

Each call streams through a cursor of the server, inside the caller's snapshot.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_WINDOWS, _EVENTS, _ASSETS = load("window_reads"), load("event_reads"), load("asset_reads")
_TABLES = {"1m": "metric_window_1m", "1h": "metric_window_1h", "1d": "metric_window_1d"}
_PREFETCH = 2_000


class DumpedWindow(NamedTuple):
    """A window with readings. Values are millionths; `part` and `weight` are millionths of these."""

    start: datetime
    leaf: bool
    metric: str
    area: str
    subject: str | None
    source: str | None
    mode: int
    readings: int
    sum: int
    min: int
    max: int
    latest: str
    part: int | None
    weight: int | None
    subjects: int


class DumpedEvent(NamedTuple):
    """What of a stored event depends on nothing but the event; `data` is JSON text."""

    time: datetime
    source: str
    id: str
    type: str
    subject: str | None
    area: str
    given_area: str | None
    data: str
    flags: list[str] | None


class DumpedAsset(NamedTuple):
    """A latest state; `latest` holds the order of its event: time, source, id."""

    subject: str
    type: str
    area: str
    time: datetime
    latest: str
    data: str


async def last_minute(connection: Connection) -> datetime | None:
    """The last minute with a reading of anything."""
    found: datetime | None = await connection.fetchval(_WINDOWS["last_minute"])
    return found


async def events(connection: Connection) -> AsyncIterator[DumpedEvent]:
    """Every event, in no order."""
    async for row in connection.cursor(_EVENTS["every_event"], prefetch=_PREFETCH):
        yield DumpedEvent(*row)


async def assets(connection: Connection) -> AsyncIterator[DumpedAsset]:
    """Every latest state, in no order."""
    async for row in connection.cursor(_ASSETS["every_asset"], prefetch=_PREFETCH):
        yield DumpedAsset(*row)


async def stored_windows(connection: Connection, step: str, before: datetime) -> AsyncIterator[DumpedWindow]:
    """Every stored window that starts before a moment, in no order."""
    query = _WINDOWS["every_stored"].format(table=_TABLES[step])
    async for row in connection.cursor(query, before, prefetch=_PREFETCH):
        yield _window(row)


async def open_leaves(
    connection: Connection, begin: datetime, hours_until: datetime, days: Sequence[datetime] | None, *, from_hours: bool
) -> AsyncIterator[DumpedWindow]:
    """The hours, or the days that begin at `days`, of assets from a moment on, made up from finer rows, by start."""
    starts = None if days is None else list(days)
    arguments = (begin, hours_until, starts, from_hours)
    async for row in connection.cursor(_WINDOWS["every_open_leaf"], *arguments, prefetch=_PREFETCH):
        yield _window(row)


def _window(row: asyncpg.Record) -> DumpedWindow:
    window = DumpedWindow(*row)
    part, weight = window.part, window.weight
    return window._replace(
        sum=int(window.sum), part=None if part is None else int(part), weight=None if weight is None else int(weight)
    )
