"""Walking back through events in slices of time, newest first. Called by the event routes.

There is no index over all events by time, on purpose (architecture.md, what things cost): a slice is read through the
block ranges of its months. Slices double up to a month; after one that gave nothing the index of minutes says how far back
the next readings are, and the empty time before is read in one. After `BUDGET_S` the page ends where it is, with a cursor.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from citybrain.store.event_reads import EventFilter, EventPosition, EventRow, events_between, newest_minute
from citybrain.store.pool import Connection

FIRST_SLICE = timedelta(minutes=15)
LONGEST_SLICE = timedelta(days=31)
BUDGET_S = 2.0


@dataclass(frozen=True, slots=True)
class Listed:
    """A page, and the position to go on from; None at the end."""

    rows: list[EventRow]
    position: EventPosition | None


async def list_events(
    connection: Connection, wanted: EventFilter, span: tuple[datetime, datetime], before: EventPosition, limit: int
) -> Listed:
    """Events of a span that come before a position."""
    begin, end = span[0], min(span[1], before.time + timedelta(microseconds=1))
    if wanted.subject is not None:
        return _page(await events_between(connection, wanted, (begin, end), before, limit + 1), limit)
    deadline, width = time.monotonic() + BUDGET_S, FIRST_SLICE
    found: list[EventRow] = []
    low = max(begin, end - width)
    while begin < end and len(found) <= limit:
        rows = await events_between(connection, wanted, (low, end), before, limit + 1 - len(found))
        found += rows
        end, width = low, min(width * 2, LONGEST_SLICE)
        newest = end if rows else await newest_minute(connection, end)
        low = begin if newest is None else max(begin, min(newest, end - width))
        if time.monotonic() > deadline and begin < end:
            return Listed(found, EventPosition(end, "", "")) if len(found) <= limit else _page(found, limit)
    return _page(found, limit)


def _page(rows: list[EventRow], limit: int) -> Listed:
    if len(rows) <= limit:
        return Listed(rows, None)
    last = rows[limit - 1]
    return Listed(rows[:limit], EventPosition(last.time, last.source, last.id))
