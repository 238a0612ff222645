"""Forgetting what may be forgotten. Called by aggregate.upkeep; the moments are the caller's."""

from __future__ import annotations

from datetime import datetime

from citybrain.store.partitions import event_months
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
    """Whole months of raw events that ended before a moment, with what belongs to them; the partitions dropped."""
    dropped: list[str] = []
    end = None
    for month, month_end in await event_months(connection):
        if month_end <= before:
            name = f"event_{month:%Y_%m}"
            async with connection.transaction():
                await connection.execute("set local lock_timeout = '5s'")
                await connection.execute(f"drop table {name}")
            dropped.append(name)
            end = month_end
    if end is not None:
        for query in ("forget_personal", "forget_paired", "forget_conflicts"):
            await connection.execute(_SQL[query], end)
    return dropped
