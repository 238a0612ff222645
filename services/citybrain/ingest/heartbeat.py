"""Put time into the log: a heartbeat to every partition before the process is ready, then every 5 s. Started by runner.

Readers take the passing of time from these records alone, so it stands still while nobody can append.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from citybrain.bus.port import Bus, Record
from citybrain.errors import CitybrainError
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC, HEARTBEAT_TYPE, Heartbeat

PERIOD_S = 5.0
RETRY_S = 1.0
_log = logging.getLogger(__name__)


async def beat(bus: Bus, clock: Callable[[], datetime], ingest: str, metrics: Metrics) -> None:
    """Until cancelled. `ingest` names the process; its pulse tells when every partition has had a heartbeat."""
    pulse = metrics.loops.begin("heartbeat")
    failing = False
    while True:
        try:
            begun_at, begun_s = clock(), time.monotonic()
            await bus.append_everywhere(EVENTS_TOPIC, heartbeat(begun_at, ingest))
        except CitybrainError as error:
            pulse.failed(error)
            if not error.retryable:
                raise
            if not failing:
                _log.warning("heartbeat_failed", extra={"reason": str(error)})
            failing = True
            await asyncio.sleep(RETRY_S)
            continue
        if failing:
            _log.info("heartbeat_resumed")
        failing = False
        pulse.done()
        metrics.ingest_heartbeats.inc()
        metrics.ingest_heartbeat_seconds.observe(time.monotonic() - begun_s)
        metrics.stage_through.labels("accepted").set(begun_at.timestamp())
        await asyncio.sleep(PERIOD_S)


def heartbeat(now: datetime, ingest: str) -> Record:
    """The record; its key says nothing, for it goes to every partition."""
    value = Heartbeat(accepted_at=now, ingest=ingest).model_dump_json(exclude_none=True)
    return Record(b"", HEARTBEAT_TYPE, value.encode())
