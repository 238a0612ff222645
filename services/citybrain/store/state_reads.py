"""Reading where the pipeline stands. Called by the API; decides nothing, writes nothing."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("state_reads")


class Figures(NamedTuple):
    """What became of the records that aggregate has read; they never fall."""

    accepted: int
    stored: int
    repeated: int
    conflicts: int
    dead: int


async def figures(connection: Connection) -> Figures:
    """The sums over all partitions."""
    row = await connection.fetchrow(_SQL["figures"])
    return Figures(*row) if row is not None else Figures(0, 0, 0, 0, 0)


async def positions(connection: Connection, topic: str) -> dict[int, int]:
    """The next offset that aggregate will read, by partition."""
    return {row["partition"]: row["next_offset"] for row in await connection.fetch(_SQL["positions"], topic)}


async def rollup_lag(connection: Connection, watermark: datetime | None) -> int:
    """Rows that rollup could work on now."""
    return int(await connection.fetchval(_SQL["rollup_lag"], watermark))
