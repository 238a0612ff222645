"""Sessions of processes that hang in the middle of a statement: their work goes to who took over. Called by citybrain.vitals.

A process that is stopped, or whose machine is gone, in the middle of a COPY or of rows that it reads is not idle to PostgreSQL,
and no timeout of a statement ends what waits for its client: it would hold its locks for as long as its connection stands.
"""

from __future__ import annotations

from datetime import timedelta

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("hung")


async def end_hung(connection: Connection, after_s: float) -> list[int]:
    """End the sessions that hold work of a role and whose statement waits for its client after so long; their process ids."""
    rows = await connection.fetch(_SQL["end_hung"], timedelta(seconds=after_s))
    return [row["pid"] for row in rows if row["ended"]]
