"""Heartbeats among the deliveries. Called by alert.notify, in the transaction of a step; decides nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("heartbeats")


async def due(connection: Connection, now: datetime, apart: timedelta) -> datetime | None:
    """The final tick that a heartbeat should tell of now; None when the last one has, or was made less than `apart` ago."""
    found: datetime | None = await connection.fetchval(_SQL["due"], now, apart)
    return found


async def put(connection: Connection, kind: str, body: bytes, tick: datetime, now: datetime) -> int:
    """One for each endpoint that gets it, in place of those that wait; how many."""
    await connection.execute(_SQL["forget"])
    return int(await connection.fetchval(_SQL["put"], kind, body, tick, now))
