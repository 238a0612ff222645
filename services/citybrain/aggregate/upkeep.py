"""Forget what the profile and the settings say, make room ahead of time, pack old chunks; once a minute. Started by runner.

Nothing here changes a figure: the bus keeps what a reader has not read, identities go only while their events can still be
looked up, raw events go in whole partitions after `retention`, deliveries some time after their end, and windows stay.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from citybrain.bus.port import Bus
from citybrain.city import City
from citybrain.errors import CitybrainError
from citybrain.store import timescale, upkeep
from citybrain.store.partitions import Partitions
from citybrain.store.pool import Connection, Pool, translated
from citybrain.telemetry import Metrics

_log = logging.getLogger(__name__)
EVERY_S = 60.0
LATE_ROWS_EVERY_S = 6 * 3600.0  # packing a chunk again for a few late rows is not worth it more often


class Keep(NamedTuple):
    """How long records stay on the bus once read, deliveries after their end, and chunks of rows before they are packed."""

    bus: timedelta
    deliveries: timedelta
    unpacked: timedelta


@dataclass(slots=True)
class Upkeep:
    """One a city is enough; several do no harm."""

    pool: Pool
    bus: Bus
    topic: str
    keep: Keep
    city: Callable[[], City]
    clock: Callable[[], datetime]
    metrics: Metrics = field(default_factory=Metrics)
    _partitions: Partitions = field(default_factory=Partitions)
    _late_rows_from: float = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        step = self.metrics.loops.begin("upkeep").around(self.step)
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - the loop's outermost edge: logged, tried again
                unknown = None if isinstance(error, CitybrainError) else error
                _log.warning("upkeep_failed", extra={"reason": str(error)[:500]}, exc_info=unknown)
            await asyncio.sleep(EVERY_S)

    async def step(self) -> None:
        """Do what is due now."""
        now, settings = self.clock(), self.city().settings
        records = await self.bus.trim(self.topic, now - self.keep.bus)
        with translated():
            async with self.pool.acquire() as connection:
                await self._partitions.ensure_ahead(connection, now)
                identities = await upkeep.forget_identities(connection, now - timedelta(days=settings.identity_days))
                deliveries = await upkeep.forget_deliveries(connection, now - self.keep.deliveries)
                dropped = [] if settings.retention is None else await upkeep.forget_events(connection, now - settings.retention)
                packed = await self._pack(connection, now - self.keep.unpacked)
        done = {"bus_records": records, "identities": identities, "deliveries": deliveries, "dropped": dropped, "packed": packed}
        if any(done.values()):
            _log.info("upkeep", extra=done)

    async def _pack(self, connection: Connection, before: datetime) -> list[str]:
        """Chunks of TimescaleDB that are due, and now and then the late rows of those that were packed."""
        late = time.monotonic() >= self._late_rows_from
        packed = await timescale.compress(connection, before, late=late)
        if late:
            self._late_rows_from = time.monotonic() + LATE_ROWS_EVERY_S
        return packed
