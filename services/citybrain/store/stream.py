"""The stream of what happens to alerts and windows, in an order that never changes. Called by alert.publish and the API.

A number is given after its entry was committed, by one process at a time: no reader that has come to a number can have missed
one before it. Which windows changed is read from rollup's own passes, which become visible in their order already.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from citybrain.store.pool import Connection
from citybrain.store.queries import load
from citybrain_schemas.alerts import LogEntry

_SQL = load("stream")


class Position(NamedTuple):
    """How far somebody has read: the number of an entry of an alert's log, and of a pass of rollup."""

    alert: int
    window: int

    def within(self, other: Position) -> bool:
        """Whether both numbers are at most those of another one."""
        return self.alert <= other.alert and self.window <= other.window

    def taking(self, kinds: Iterable[str], other: Position) -> Position:
        """With the numbers of these kinds (`alert`, `window`) from another one."""
        return self._replace(**{kind: getattr(other, kind) for kind in kinds})


class AlertEntry(NamedTuple):
    """An entry of an alert's log, with its number in the stream."""

    number: int
    alert_id: UUID
    entry: LogEntry


class WindowPass(NamedTuple):
    """Minutes since 1970 of areas' series that a pass changed (parallel lists)."""

    number: int
    series: list[int]
    minutes: list[int]


async def publish(connection: Connection, most: int) -> int:
    """Number what waits, in the caller's transaction; how many."""
    await connection.execute(_SQL["lock"])
    return int(await connection.fetchval(_SQL["publish"], most))


async def heads(connection: Connection) -> Position:
    """The last numbers."""
    row = await connection.fetchrow(_SQL["heads"])
    return Position(0, 0) if row is None else Position(*row)


async def forgotten(connection: Connection) -> Position:
    """Up to which numbers nothing is kept any more."""
    row = await connection.fetchrow(_SQL["begins"])
    return Position(0, 0) if row is None else Position(*row)


async def entries(connection: Connection, after: int, through: int, limit: int) -> list[AlertEntry]:
    """Entries numbered after one and through another."""
    rows = await connection.fetch(_SQL["entries"], after, through, limit)
    return [AlertEntry(row["stream_no"], row["alert_id"], _entry(dict(row))) for row in rows]


async def passes(connection: Connection, after: int, through: int, limit: int) -> list[WindowPass]:
    """Passes of rollup after one and through another; those that changed nothing have none."""
    return [WindowPass(*row) for row in await connection.fetch(_SQL["passes"], after, through, limit)]


async def forget(connection: Connection, numbers_before: datetime, changes_before: datetime) -> None:
    """Numbers that were given, and changed windows that alert took, before a moment each; the logs of alerts stay."""
    await connection.execute(_SQL["forget"], numbers_before)
    await connection.execute(_SQL["forget_changes"], changes_before)


def _entry(row: dict[str, object]) -> LogEntry:
    detail = msgspec.json.decode(str(row.pop("detail")), type=dict[str, object])
    return LogEntry.model_validate(
        {name: value for name, value in row.items() if name in LogEntry.model_fields} | {"detail": detail}
    )
