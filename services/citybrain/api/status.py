"""`GET /v1/status`: where the pipeline stands. Called by router."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from citybrain.api.parts import ApiParts
from citybrain.api.replies import json_reply
from citybrain.errors import SettingsError, Unavailable
from citybrain.store import changes, deliveries, notifications, state_reads, window_reads
from citybrain_schemas.instants import format_time
from citybrain_schemas.topics import EVENTS_TOPIC


class RoleStatus(BaseModel):
    """`lag` counts records or rows that the role could work on now."""

    lag: int
    watermark: str | None = None
    final_through: str | None = None


class Status(BaseModel):
    """accepted = stored + repeated + conflicts + dead, all of them ever read by aggregate."""

    version: str
    mode: str
    accepted: int
    stored: int
    repeated: int
    conflicts: int
    dead: int
    roles: dict[str, RoleStatus]


def add_status(router: APIRouter, parts: ApiParts) -> None:
    """The route."""

    @router.get("/v1/status", summary="Where the pipeline stands", responses={200: {"model": Status}})
    async def status() -> Response:
        return json_reply(await read_status(parts))


async def read_status(parts: ApiParts) -> dict[str, Any]:
    """The figures, and each role's lag: the bus is asked after the tables, so nothing that was posted before is missed."""
    status, positions = await read_tables(parts)
    status["roles"]["aggregate"] = {"lag": await unread(parts, positions), **status["roles"]["aggregate"]}
    return status


async def unread(parts: ApiParts, positions: Mapping[int, int]) -> int:
    """Records of the topic behind these positions. Raises Unavailable, also while the topic is not as it has to be."""
    try:
        ends = await parts.bus.ends(EVENTS_TOPIC)
    except SettingsError as error:
        raise Unavailable(str(error)) from error
    return sum(max(0, end - positions.get(partition, 0)) for partition, end in ends.items())


async def read_tables(parts: ApiParts) -> tuple[dict[str, Any], Mapping[int, int]]:
    """All of the status that the database knows, and how far aggregate has read."""
    async with window_reads.snapshot(parts.pool) as connection:
        standing = await window_reads.standing(connection)
        figures = await state_reads.figures(connection)
        positions = await state_reads.positions(connection, EVENTS_TOPIC)
        rollup_lag = await state_reads.rollup_lag(connection, standing.watermark)
        alert_lag = await changes.lag(connection)
        notify_lag = await notifications.lag(connection, parts.clock())
        deliver_lag = await deliveries.lag(connection)
    through = None if standing.final_through == window_reads.EARLIEST else format_time(standing.final_through)
    status = {
        "version": parts.version,
        "mode": parts.mode,
        **figures._asdict(),
        "roles": {
            "aggregate": {"watermark": _time(standing.watermark)},
            "rollup": {"lag": rollup_lag, "final_through": through},
            "alert": {"lag": alert_lag.waiting + alert_lag.ticks, "final_through": _time(alert_lag.final_through)},
            "notify": {"lag": notify_lag},
            "deliver": {"lag": deliver_lag},
        },
    }
    return status, positions


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
