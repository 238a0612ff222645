"""The tables that aggregate writes in the one transaction of a batch. Called by aggregate.worker; decides nothing.

Every method works on the connection it is given, inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("batch")
_PAIRS = load("pairs")
ROLE = "aggregate"
_EVENT_COLUMNS = (
    "time", "source_no", "id", "type", "subject", "area", "given_area", "data", "extensions", "flags", "fingerprint",
    "accepted_at",
)  # fmt: skip


class Position(NamedTuple):
    """Where a role stands in a partition."""

    next_offset: int
    watermark: datetime | None
    last_heartbeat: datetime | None


class Move(NamedTuple):
    """A step of a partition from the expected offset to the next one, and what it says of time."""

    partition: int
    expected: int
    next_offset: int
    watermark: datetime | None
    heartbeat: datetime | None


class Identity(NamedTuple):
    """The identity of an event with its content."""

    source_no: int
    id: str
    time: datetime
    fingerprint: bytes


class Figures(NamedTuple):
    """The five figures of a batch; accepted = stored + repeated + conflicts + dead."""

    accepted: int
    stored: int
    repeated: int
    conflicts: int
    dead: int


async def open_positions(connection: Connection, topic: str, partitions: int) -> dict[int, Position]:
    """Where aggregate stands, made at 0 where it never was."""
    await connection.execute(_SQL["open_positions"], ROLE, topic, list(range(partitions)))
    rows = await connection.fetch(_SQL["positions"], ROLE, topic)
    return {row["partition"]: Position(row["next_offset"], row["watermark"], row["last_heartbeat"]) for row in rows}


async def move(connection: Connection, topic: str, moves: Sequence[Move]) -> bool:
    """Compare and swap the offsets. False: another owner was ahead, and this transaction has to be dropped."""
    return len(await connection.fetch(_SQL["move"], ROLE, topic, *_columns(moves))) == len(moves)


async def count(connection: Connection, topic: str, partition: int, figures: Figures) -> None:
    """Add to the figures; a partition's row carries them, their sum is what counts."""
    await connection.execute(_SQL["count"], ROLE, topic, partition, *figures)


async def add_gaps(connection: Connection, topic: str, gaps: Sequence[tuple[int, datetime, datetime]]) -> None:
    """Keep stretches without a heartbeat: (partition, from, to)."""
    if gaps:
        await connection.execute(_SQL["add_gaps"], topic, *_columns(gaps))


async def add_dead_letters(connection: Connection, topic: str, letters: Sequence[Sequence[object]]) -> None:
    """Keep undecodable records: (partition, offset, key, type, value, reason)."""
    if letters:
        await connection.execute(_SQL["add_dead_letters"], ROLE, topic, *_columns(letters))


async def add_identities(connection: Connection, identities: Sequence[Identity]) -> set[tuple[int, str]]:
    """Put identities down; the (source number, id) of those that are new."""
    rows = await connection.fetch(_SQL["add_identities"], *_columns(identities))
    return {(row["source_no"], row["id"]) for row in rows}


async def find_fingerprints(connection: Connection, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], bytes]:
    """The content that stands for known identities."""
    rows = await connection.fetch(_SQL["find_identities"], *_columns(keys))
    return {(row["source_no"], row["id"]): row["fingerprint"] for row in rows}


async def find_old_events(
    connection: Connection, keys: Sequence[tuple[int, str, datetime, str | None]]
) -> dict[tuple[int, str], bytes]:
    """Stored events of (source number, id, time, subject) whose identities may have been forgotten."""
    horizon = await connection.fetchval(_SQL["forgotten_before"])
    old = [key for key in keys if horizon is not None and key[2] < horizon]
    if not old:
        return {}
    rows = await connection.fetch(_SQL["find_old_events"], *_columns(old))
    return {(row["source_no"], row["id"]): row["fingerprint"] for row in rows}


async def add_events(connection: Connection, rows: Iterable[Sequence[object]]) -> None:
    """COPY new events in the order of `_EVENT_COLUMNS`."""
    await connection.copy_records_to_table("event", records=rows, columns=_EVENT_COLUMNS)


async def add_personal(connection: Connection, rows: Sequence[Sequence[object]]) -> None:
    """Keep personal fields apart: (source number, id, time, data)."""
    if rows:
        await connection.copy_records_to_table("event_personal", records=rows, columns=("source_no", "id", "time", "data"))


async def add_conflicts(connection: Connection, rows: Sequence[Sequence[object]]) -> int:
    """Keep other content under known identities; how many were not there yet."""
    return len(await connection.fetch(_SQL["add_conflicts"], *_columns(rows))) if rows else 0


async def add_minutes(connection: Connection, columns: Sequence[Sequence[Any]]) -> None:
    """Add readings to minutes: series, start, parent, count, sum, min, max, latest, part, weight, subjects (sums as text)."""
    if columns[0]:
        await connection.execute(_SQL["add_minutes"], *columns)


async def put_assets(connection: Connection, rows: Sequence[Sequence[object]]) -> None:
    """Latest states: subject, type, area, time, latest, data."""
    if rows:
        await connection.execute(_SQL["put_assets"], *_columns(rows))


async def add_pairs(connection: Connection, rows: Sequence[Sequence[object]]) -> list[tuple[str, str, str, datetime]]:
    """Put paired readings down; the (metric, subject, area, minute) that have to be derived anew."""
    if not rows:
        return []
    columns = _columns(rows)
    await connection.execute(_PAIRS["add"], *columns)
    return [tuple(row) for row in await connection.fetch(_PAIRS["touched"], *columns[:6])]


async def derive_pairs(connection: Connection, rows: Sequence[Sequence[object]]) -> list[tuple[int, datetime]]:
    """Make minutes anew: metric, subject, area, start, series, parent. The (parent, start) that changed."""
    return [tuple(row) for row in await connection.fetch(_PAIRS["derive"], *_columns(rows))] if rows else []


async def add_dirty(connection: Connection, rows: Iterable[Sequence[object]]) -> None:
    """Tell rollup what to make again: step, start, series."""
    await connection.copy_records_to_table("dirty", records=rows, columns=("step", "start", "series"))


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
