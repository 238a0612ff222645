"""Put entries of alerts' logs into the stream, several times a second. Started by runner beside the worker; more do no harm."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from citybrain.loops import note_failure, until_cancelled
from citybrain.store import stream
from citybrain.store.pool import Pool, translated
from citybrain.telemetry import Metrics

_log = logging.getLogger(__name__)
IDLE_S = 0.2
AT_ONCE = 5_000
FORGET_EVERY_S = 15.0
KEPT = timedelta(days=1)  # so long a listener may be away and miss nothing that became of an alert
CHANGES_KEPT = timedelta(minutes=2)  # and no changed window: longer ago, reading anew is cheaper


@dataclass(slots=True)
class Publisher:
    """Keeps nothing: what waits is in the database."""

    pool: Pool
    metrics: Metrics
    clock: Callable[[], datetime]
    _forget_from: float = 0.0
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until cancelled."""
        step = self.metrics.loops.begin("publish").around(self.step)
        await until_cancelled(step, self._failed, self.wake, IDLE_S)

    def _failed(self, error: Exception) -> None:
        note_failure(_log, "publish_failed", self.metrics.alert_errors, error)

    async def step(self) -> bool:
        """Number what was committed; whether there may be more."""
        with translated():
            async with self.pool.acquire() as connection:
                if time.monotonic() >= self._forget_from:
                    self._forget_from = time.monotonic() + FORGET_EVERY_S
                    await stream.forget(connection, self.clock() - KEPT, self.clock() - CHANGES_KEPT)
                async with connection.transaction():
                    return await stream.publish(connection, AT_ONCE) == AT_ONCE
