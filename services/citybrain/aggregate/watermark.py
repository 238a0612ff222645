"""Time in the log: pipeline gaps from heartbeats. Called by aggregate.worker. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

GAP = timedelta(seconds=15)
"""A stretch longer than this without any heartbeat is a gap: ingest was down, not the city silent."""


def gaps(last: datetime | None, heartbeats: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """The stretches longer than GAP between successive heartbeats of a partition.

    `last` is the greatest heartbeat before these. Heartbeats of several ingest processes may come slightly out of order;
    an earlier one after a later one opens no gap.
    """
    found: list[tuple[datetime, datetime]] = []
    for beat in heartbeats:
        if last is not None and beat - last > GAP:
            found.append((last, beat))
        last = beat if last is None else max(last, beat)
    return found
