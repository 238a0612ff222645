"""Reading stored events and conflicts. Called by the API; decides nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("event_reads")


class EventRow(NamedTuple):
    """A stored event; `data` and `extensions` are JSON texts."""

    time: datetime
    source: str
    id: str
    type: str
    subject: str | None
    area: str
    given_area: str | None
    data: str
    extensions: str | None
    flags: list[str] | None
    accepted_at: datetime


class ConflictRow(NamedTuple):
    """Another content under a known identity; `data` is JSON text."""

    seen: datetime
    source: str
    id: str
    fingerprint: bytes
    time: datetime
    type: str
    subject: str | None
    area: str
    data: str
    accepted_at: datetime


class FedSeries(NamedTuple):
    """An asset's, or a source's, series with a reading in a minute."""

    metric: str
    area: str
    subject: str | None
    source: str | None


class EventPosition(NamedTuple):
    """The order of events, newest first."""

    time: datetime
    source: str
    id: str


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What a listed event has to be; None is anything."""

    type: str | None = None
    source: str | None = None
    subject: str | None = None
    areas: Sequence[str] | None = None


async def find_event(connection: Connection, source: str, identity: str, time: datetime | None) -> EventRow | None:
    """The stored event of an identity. With its time it is found after the identity was forgotten, too."""
    time = await connection.fetchval(_SQL["time_of"], source, identity) or time
    row = None if time is None else await connection.fetchrow(_SQL["find_event"], source, identity, time)
    return None if row is None else EventRow(*row)


async def personal(connection: Connection, event: EventRow) -> str | None:
    """JSON text of what the event says about a person."""
    found: str | None = await connection.fetchval(_SQL["personal"], event.source, event.id, event.time)
    return found


async def conflicts_of(connection: Connection, source: str, identity: str) -> list[ConflictRow]:
    """The other contents of an identity, first seen first."""
    return [ConflictRow(*row) for row in await connection.fetch(_SQL["conflicts_of"], source, identity)]


async def conflicts(connection: Connection, before: tuple[datetime, str, str, bytes] | None, limit: int) -> list[ConflictRow]:
    """Conflicts, last seen first, before (seen, source, id, fingerprint)."""
    position = before or (None, None, None, None)
    return [ConflictRow(*row) for row in await connection.fetch(_SQL["conflicts"], *position, limit)]


async def fed_minutes(connection: Connection, event: EventRow, metrics: Sequence[str], minute: datetime) -> list[FedSeries]:
    """The series with readings in the event's minute, among those of the metrics that it feeds."""
    rows = await connection.fetch(_SQL["fed_minutes"], list(metrics), event.area, event.subject, event.source, minute)
    return [FedSeries(*row) for row in rows]


async def newest_minute(connection: Connection, before: datetime) -> datetime | None:
    """The last minute with a reading of anything."""
    found: datetime | None = await connection.fetchval(_SQL["newest_minute"], before)
    return found


async def events_between(
    connection: Connection, wanted: EventFilter, span: tuple[datetime, datetime], before: EventPosition, limit: int
) -> list[EventRow]:
    """Events of a span that come before a position, newest first."""
    areas = None if wanted.areas is None else list(wanted.areas)
    arguments = [*span, *before, wanted.type, wanted.source, areas, limit]
    if wanted.subject is not None:
        rows = await connection.fetch(_SQL["events_of_subject"], *arguments, wanted.subject)
    else:
        rows = await connection.fetch(_SQL["events_between"], *arguments)
    return [EventRow(*row) for row in rows]
