"""Silences as rows. Written by the API; alert reads them, and ends those that were to last until resolved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("silences")
_NAMED = ("rule", "subject", "severity", "area")


class Silence(NamedTuple):
    """Who silenced what, from when until when, and why. `ended_at`: deleted, or ended with the alert."""

    silence_id: UUID
    matchers: Mapping[str, str]
    begins: datetime
    ends: datetime
    until_resolved: bool
    made_by: str
    why: str
    made_at: datetime
    ended_at: datetime | None = None


async def put(connection: Connection, silence: Silence) -> None:
    """Keep a new silence."""
    matchers = msgspec.json.encode(silence.matchers).decode()
    await connection.execute(_SQL["put"], silence.silence_id, matchers, *silence[2:8])


async def find(connection: Connection, silence_id: UUID) -> Silence | None:
    """One silence, whether it holds or not."""
    row = await connection.fetchrow(_SQL["find"], silence_id)
    return None if row is None else _silence(row)


async def page(connection: Connection, before: tuple[datetime, UUID], limit: int) -> list[Silence]:
    """Silences made before a position, the newest first."""
    return [_silence(row) for row in await connection.fetch(_SQL["page"], *before, limit)]


async def active(connection: Connection, now: datetime) -> list[Silence]:
    """Those that hold now, the oldest first."""
    return [_silence(row) for row in await connection.fetch(_SQL["active"], now)]


async def end(connection: Connection, silence_id: UUID, now: datetime) -> bool:
    """End it, if it has not ended; False when there is no such silence."""
    return await connection.fetchval(_SQL["end"], silence_id, now) is not None


async def end_unneeded(connection: Connection, silence: Silence, now: datetime) -> bool:
    """End a silence "until resolved" when no alert that fires matches it any more; whether it was ended."""
    named = [silence.matchers.get(name) for name in _NAMED]
    labels = {name: value for name, value in silence.matchers.items() if name not in _NAMED}
    ended = await connection.fetchval(_SQL["end_unneeded"], silence.silence_id, now, *named, msgspec.json.encode(labels).decode())
    return ended is not None


def _silence(row: asyncpg.Record) -> Silence:
    matchers = msgspec.json.decode(row["matchers"], type=dict[str, str])
    return Silence(row["silence_id"], matchers, *(row[name] for name in Silence._fields[2:]))
