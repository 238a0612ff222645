"""Sessions of processes that hang in the middle of a statement: their work goes to who took over. Called by citybrain.vitals.

A process that is stopped, or whose machine is gone, in the middle of a COPY or of rows that it reads is not idle to PostgreSQL,
and no timeout of a statement ends what waits for its client: it would hold its locks for as long as its connection stands.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from citybrain.store.pool import HUNG_AFTER_S, Connection
from citybrain.store.queries import load

_SQL = load("hung")


class _Statement(NamedTuple):
    """One that waits for its client, and how much of a COPY has come."""

    pid: int
    query_start: datetime
    bytes: int


@dataclass(slots=True)
class Hung:
    """Remembers since when each waits. Who is only slow is found at work, or further on, at one of the looks."""

    after_s: float = HUNG_AFTER_S
    _since: dict[_Statement, float] = field(default_factory=dict)

    async def end(self, connection: Connection) -> list[int]:
        """End the sessions that waited at every look for so long, and came no further; their process ids."""
        now = time.monotonic()
        found = [_Statement(*row) for row in await connection.fetch(_SQL["waiting"])]
        self._since = {one: self._since.get(one, now) for one in found}
        hung = [one for one, since in self._since.items() if now - since >= self.after_s]
        if not hung:
            return []
        ended = await connection.fetch(_SQL["end"], [one.pid for one in hung], [one.query_start for one in hung])
        return [row["pid"] for row in ended if row["ended"]]
