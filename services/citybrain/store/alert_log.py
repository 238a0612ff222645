"""Appending to the logs of alerts, in the caller's transaction. Called by the alert role: its worker and its notification.

Entries are numbered on from `alert.sequence`, which moves along in the same statement: two processes, or two loops of one,
that append to the same alert at once never take the same number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("alert_log")


class Entry(NamedTuple):
    """One line of an alert's log; `at` is wall clock, `tick` that of a transition."""

    alert_id: UUID
    at: datetime
    kind: str
    tick: datetime | None = None
    provisional: bool = False
    by: str | None = None
    comment: str | None = None
    detail: Mapping[str, object] = {}


async def append(connection: Connection, entries: Sequence[Entry]) -> list[int]:
    """Append in the given order; the number of each entry. Entries of alerts that do not exist are left out, as 0."""
    if not entries:
        return []
    columns = [list(column) for column in zip(*(one[:7] for one in entries), strict=True)]
    details = [msgspec.json.encode(one.detail).decode() for one in entries]
    numbers: dict[UUID, list[int]] = {}
    for row in await connection.fetch(_SQL["append"], *columns, details):
        numbers.setdefault(row["alert_id"], []).append(row["entry"])
    for given in numbers.values():
        given.sort(reverse=True)
    return [numbers[one.alert_id].pop() if one.alert_id in numbers else 0 for one in entries]
