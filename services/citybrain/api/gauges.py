"""Gauges of the whole pipeline, measured every few seconds by the process that answers the API. Started by runner.

Several processes tell the same: take the greatest of a role or stage.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from datetime import datetime
from functools import partial
from pathlib import Path

from citybrain.api.parts import ApiParts
from citybrain.api.status import read_tables, unread
from citybrain.errors import CitybrainError
from citybrain.store import gauges
from citybrain.store.pool import translated
from citybrain_schemas.instants import parse_time

EVERY_S = 5.0
_log = logging.getLogger(__name__)


async def keep_measuring(parts: ApiParts, data: Path | None = None) -> None:
    """Until cancelled. `data` is the folder of an embedded city. While the database is away nothing is measured."""
    measured = parts.metrics.loops.begin("measure").around(partial(measure, parts, data))
    while True:
        try:
            await measured()
        except CitybrainError as error:
            _log.warning("gauges_failed", extra={"reason": str(error)})
        except Exception:  # noqa: BLE001 - the loop's outermost edge: logged, tried again
            _log.exception("gauges_failed")
        await asyncio.sleep(EVERY_S)


async def measure(parts: ApiParts, data: Path | None) -> None:
    """Once. The bus is asked last: while it is away all else is measured. Raises DatabaseUnavailable, BusUnavailable."""
    metrics = parts.metrics
    status, positions = await read_tables(parts)
    for role, standing in status["roles"].items():
        if role != "aggregate":
            metrics.role_lag.labels(role).set(standing["lag"])
    with translated():
        async with parts.pool.acquire() as connection:
            found = await gauges.read(connection)
    for state in ("works", "left_alone", "disabled"):
        metrics.endpoints.labels(state).set(getattr(found, state))
    metrics.dead_letters.set(found.dead_letters)
    metrics.database_bytes.set(found.bytes)
    metrics.watermark_delay.set(parts.city().settings.watermark_delay.total_seconds())
    stages: dict[str, datetime | None] = {
        "stored": parse_time(status["roles"]["aggregate"].get("watermark")),
        "areas": found.areas,
        "ticks": parse_time(status["roles"]["alert"].get("final_through")),
        "delivered": found.delivered,
    }
    for stage, through in stages.items():
        if through is not None:
            metrics.stage_through.labels(stage).set(through.timestamp())
    if data is not None:
        metrics.disk_free.labels("data").set((await asyncio.to_thread(shutil.disk_usage, data)).free)
    metrics.role_lag.labels("aggregate").set(await unread(parts, positions))
