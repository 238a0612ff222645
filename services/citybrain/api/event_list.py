"""Walking back through events in slices of time, newest first. Called by the event routes.

There is no index over all events by time, on purpose (architecture.md, what things cost): a slice is read through the
block ranges of its months. Slices double while they hold little; before a jump over empty time, the index of minutes says
where the next readings are. After `SLICE_BUDGET_S` the page ends where it is, with a cursor to go on from.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from citybrain.store.event_reads import EventFilter, EventPosition, EventRow, events_between, newest_minute
from citybrain.store.pool import Connection

FIRST_SLICE = timedelta(minutes=15)
SLICE_BUDGET_S = 2.0
OLDEST = timedelta(days=365 * 120)


@dataclass(frozen=True, slots=True)
class Listed:
    """A page, and the position to go on from; None at the end."""

    rows: list[EventRow]
    position: EventPosition | None


async def list_events(
    connection: Connection, wanted: EventFilter, span: tuple[datetime, datetime], before: EventPosition, limit: int
) -> Listed:
    """Events of a span that come before a position."""
    begin, end = span
    end = min(end, before.time + timedelta(microseconds=1))
    if wanted.subject is not None:
        return _page(await events_between(connection, wanted, (begin, end), before, limit + 1), limit, None)
    deadline, width = time.monotonic() + SLICE_BUDGET_S, FIRST_SLICE
    found: list[EventRow] = []
    while begin < end and len(found) <= limit:
        if found_nothing_in_time(deadline):
            return _page(found, limit, EventPosition(end, "", ""))
        low = max(begin, end - width)
        rows = await events_between(connection, wanted, (low, end), before, limit + 1 - len(found))
        found += rows
        end, width = low, width * 2
        if not rows and begin < end:
            newest = await newest_minute(connection, end)
            low = begin if newest is None else max(begin, newest)
            found += await events_between(connection, wanted, (low, end), before, limit + 1 - len(found))
            end, width = low, (FIRST_SLICE if found else width)
    return _page(found, limit, None)


def found_nothing_in_time(deadline: float) -> bool:
    """Whether the walk has taken long enough."""
    return time.monotonic() > deadline


def _page(rows: list[EventRow], limit: int, otherwise: EventPosition | None) -> Listed:
    if len(rows) <= limit:
        return Listed(rows, otherwise)
    last = rows[limit - 1]
    return Listed(rows[:limit], EventPosition(last.time, last.source, last.id))
