"""Forgetting what may be forgotten. Called by aggregate.upkeep; the moments are the caller's."""

from __future__ import annotations

from datetime import datetime

from citybrain.store.partitions import drop_events, event_stretches
from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("upkeep")
_AT_ONCE = 20_000


async def forget_identities(connection: Connection, seen_before: datetime) -> int:
    """Identities that were seen before a moment; how many. An exact repeat is then found by its event."""
    total = 0
    while True:
        gone = int(await connection.fetchval(_SQL["forget_identities"], seen_before, _AT_ONCE))
        total += gone
        if gone < _AT_ONCE:
            return total


async def forget_events(connection: Connection, before: datetime) -> list[str]:
    """Raw events of whole partitions that ended before a moment, with what belongs to them; the partitions dropped."""
    dropped: list[str] = []
    end = None
    for one in await event_stretches(connection):
        if one.end <= before:
            await drop_events(connection, one)
            dropped.append(one.name)
            end = one.end
    if end is not None:
        for query in ("forget_personal", "forget_paired", "forget_conflicts"):
            await connection.execute(_SQL[query], end)
    return dropped


async def forget_deliveries(connection: Connection, ended_before: datetime) -> int:
    """Deliveries that ended before a moment, with their attempts; how many."""
    total = 0
    while True:
        gone = int(await connection.fetchval(_SQL["forget_deliveries"], ended_before, _AT_ONCE))
        total += gone
        if gone < _AT_ONCE:
            return total
