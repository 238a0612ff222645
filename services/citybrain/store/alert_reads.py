"""Reading alerts as the API and webhooks show them, and asking the alert role to handle one. Called by api and alert.notify."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from citybrain.store.event_reads import EventRow
from citybrain.store.pool import Connection
from citybrain.store.queries import load
from citybrain_schemas.alerts import Alert, Evidence, Handling, LogEntry, Place

_ALL = load("alert_reads")
_SQL = {name: query.replace("{columns}", _ALL["columns"].partition("\n")[2]) for name, query in _ALL.items()}


class AlertFilter(NamedTuple):
    """None stands for any; without a state all but pending. `area`: in it or anywhere below."""

    state: str | None = None
    severity: str | None = None
    area: str | None = None
    rule: str | None = None


class Asked(NamedTuple):
    """What somebody asks of an alert: acknowledge, unacknowledge, comment or close."""

    alert_id: UUID
    kind: str
    by: str
    comment: str | None
    until: datetime | None


class Opened(NamedTuple):
    """Where an alert stands in the list."""

    at: datetime
    alert_id: UUID


async def by_id(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Alert]:
    """Those of the alerts that exist."""
    return {row["alert_id"]: _alert(row) for row in await connection.fetch(_SQL["by_id"], list(ids))} if ids else {}


async def firing(connection: Connection, rules: Collection[str]) -> list[Alert]:
    """The alerts of some rules that fire now, those that are recovering too."""
    return [_alert(row) for row in await connection.fetch(_SQL["firing"], list(rules))]


async def page(connection: Connection, wanted: AlertFilter, before: Opened, limit: int) -> list[tuple[Opened, Alert]]:
    """Alerts that follow a position, those that opened last first."""
    rows = await connection.fetch(_SQL["page"], *before, *wanted, limit)
    return [(Opened(row["opened_at"], row["alert_id"]), _alert(row)) for row in rows]


async def about(connection: Connection, event: EventRow, areas: Sequence[str]) -> AsyncGenerator[tuple[int, Alert], None]:
    """Alerts of an event's asset or of areas that were fired by a window which holds it, with the versions of their rules; those
    that name its id first. In the caller's transaction."""
    async for row in connection.cursor(_SQL["about"], event.subject, list(areas), event.time, event.id):
        yield row["rule_version"], _alert(row)


async def log_of(connection: Connection, alert_id: UUID) -> list[LogEntry]:
    """The whole log of an alert."""
    rows = await connection.fetch(_SQL["log"], alert_id)
    return [LogEntry(**(dict(row) | {"detail": _json(row["detail"])})) for row in rows]


async def ask(connection: Connection, asked: Asked, now: datetime) -> int | None:
    """Leave a command for the alert role; its number, None when there is no such alert."""
    if await connection.fetchval(_SQL["known"], asked.alert_id) is None:
        return None
    number: int = await connection.fetchval(_SQL["ask"], *asked, now)
    return number


def _json(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any])


def _alert(row: asyncpg.Record) -> Alert:
    handling: Any = row["handling"]
    return Alert(
        id=str(row["alert_id"]),
        area=Place(code=row["area"], path=row["path"]),
        labels=_json(row["labels"]),
        title=_json(row["title"]),
        value=_json(row["value"]),
        peak=None if row["peak"] is None else float(row["peak"]),
        summary=_json(row["summary"]),
        evidence=Evidence.model_validate(_json(row["evidence"])),
        handling=Handling(state=handling, by=row["handled_by"], until=row["handled_until"]),
        **{name: row[name] for name in _PLAIN},
    )


_PLAIN: Sequence[str] = (
    "rule", "severity", "state", "sequence", "provisional", "subject", "source", "threshold", "started_at", "fired_at",
    "ended_at", "late_by_s",
)  # fmt: skip
