"""What Prometheus is told of the database. Called by api.gauges."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("gauges")


class Gauges(NamedTuple):
    """Its bytes, dead letters that wait, up to when areas are complete and a heartbeat was delivered, and how many endpoints
    work, are left alone for a while, and are disabled."""

    bytes: int
    dead_letters: int
    areas: datetime | None
    delivered: datetime | None
    works: int
    left_alone: int
    disabled: int


async def read(connection: Connection) -> Gauges:
    """As they are now."""
    [row] = await connection.fetch(_SQL["gauges"])
    return Gauges(*row)
