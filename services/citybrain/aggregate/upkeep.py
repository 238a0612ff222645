"""Forget what the profile and the settings say, once a minute. A loop of the aggregate role, started by runner.

Nothing here changes a figure: the bus keeps what a reader has not read, identities go only while their events can still be
looked up, raw events go in whole months after `retention`, and windows stay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from citybrain.bus.port import Bus
from citybrain.city import City
from citybrain.errors import CitybrainError
from citybrain.store import upkeep
from citybrain.store.pool import Pool, translated

_log = logging.getLogger(__name__)
EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """One a city is enough; several do no harm."""

    pool: Pool
    bus: Bus
    topic: str
    bus_retention: timedelta
    city: Callable[[], City]
    clock: Callable[[], datetime]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.step()
            except Exception as error:  # noqa: BLE001 - the loop's outermost edge: logged, tried again
                unknown = None if isinstance(error, CitybrainError) else error
                _log.warning("upkeep_failed", extra={"reason": str(error)[:500]}, exc_info=unknown)

    async def step(self) -> None:
        """Forget what is due now."""
        now, settings = self.clock(), self.city().settings
        records = await self.bus.trim(self.topic, now - self.bus_retention)
        with translated():
            async with self.pool.acquire() as connection:
                identities = await upkeep.forget_identities(connection, now - timedelta(days=settings.identity_days))
                dropped = [] if settings.retention is None else await upkeep.forget_events(connection, now - settings.retention)
        if records or identities or dropped:
            _log.info("upkeep", extra={"bus_records": records, "identities": identities, "dropped": dropped})
