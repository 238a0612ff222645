"""Alerts, what rules remember of scopes, intents and commands, in the one transaction of a pass. Called by alert's worker.

Decides nothing. `sequence` and `escalated` of existing rows are moved by `alert_log` and by notification alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("alerts")
Json = Mapping[str, object]
Key = tuple[str, str]  # rule, scope


@dataclass(slots=True)
class AlertRow:
    """A row of `alert`; times are aware, `peak` is in the metric's unit, `since` is the tick of the last logged transition."""

    alert_id: UUID
    rule: str
    scope: str
    rule_version: int
    severity: str
    state: str
    area: str
    path: list[str]
    threshold: str
    started_at: datetime
    since: datetime
    opened_at: datetime
    changed_at: datetime
    subject: str | None = None
    source: str | None = None
    provisional: bool = True
    labels: Json = field(default_factory=dict)
    title: Json = field(default_factory=dict)
    summary: Json = field(default_factory=dict)
    value: Json = field(default_factory=dict)
    evidence: Json = field(default_factory=dict)
    peak: Decimal | None = None
    fired_at: datetime | None = None
    recovering_at: datetime | None = None
    ended_at: datetime | None = None
    late_by_s: int | None = None
    handling: str = "open"
    handled_by: str | None = None
    handled_until: datetime | None = None


_JSON = ("labels", "title", "summary", "value", "evidence")
_COLUMNS = ", ".join(f"a.{one.name}::text as {one.name}" if one.name in _JSON else f"a.{one.name}" for one in fields(AlertRow))


class ScopeRow(NamedTuple):
    """Where a rule stands for a scope; the history is JSON text."""

    rule: str
    scope: str
    history: str
    settle_at: int | None


class Intent(NamedTuple):
    """Somebody may want to hear of an entry of an alert's log."""

    alert_id: UUID
    kind: str
    sequence: int
    made_at: datetime


class Window(NamedTuple):
    """A stretch of time of an asset (its name) or an area (a series that rows of assets add to), under a number."""

    number: int
    of: str | int
    begins: datetime
    ends: datetime


class Command(NamedTuple):
    """What somebody asked of an alert."""

    number: int
    alert_id: UUID
    kind: str
    by: str
    comment: str | None
    until: datetime | None
    made_at: datetime


async def scopes(connection: Connection, rules: Collection[str], of: Collection[str] | None = None) -> list[ScopeRow]:
    """Where rules stand for these scopes, or for all; those that are simply inactive are left out."""
    return [ScopeRow(*row) for row in await connection.fetch(_SQL["scopes"], list(rules), None if of is None else list(of))]


async def standing(connection: Connection, rules: Collection[str]) -> list[Key]:
    """The scopes for which rules are not simply inactive."""
    return [(row["rule"], row["scope"]) for row in await connection.fetch(_SQL["standing"], list(rules))]


async def put_scopes(connection: Connection, rows: Sequence[ScopeRow]) -> None:
    """Keep where rules stand now."""
    if rows:
        await connection.execute(_SQL["put_scopes"], *(list(column) for column in zip(*rows, strict=True)))


async def drop_scopes(connection: Connection, keys: Collection[Key]) -> None:
    """These are simply inactive again."""
    if keys:
        await connection.execute(_SQL["drop_scopes"], *_keys(keys))


async def drop_rules(connection: Connection, rules: Collection[str]) -> None:
    """Forget where rules stood that are no longer there."""
    await connection.execute(_SQL["drop_rules"], list(rules))


async def rename_scopes(connection: Connection, before: str, after: str) -> None:
    """A rule carries its scopes over to its new name."""
    await connection.execute(_SQL["rename_scopes"], before, after)


async def open_alerts(connection: Connection, rules: Collection[str], of: Collection[str] | None = None) -> list[AlertRow]:
    """Alerts of rules that may still change, of these scopes or of all, the earliest first."""
    found = await connection.fetch(_SQL["open_alerts"].format(columns=_COLUMNS), list(rules), None if of is None else list(of))
    return [_row(row) for row in found]


async def rules_with_alerts(connection: Connection) -> set[str]:
    """Names of rules that stand anywhere."""
    return {row["rule"] for row in await connection.fetch(_SQL["rules_with_alerts"])}


async def by_id(connection: Connection, ids: Collection[UUID]) -> dict[UUID, AlertRow]:
    """Alerts, locked until the transaction ends."""
    rows = await connection.fetch(_SQL["by_id"].format(columns=_COLUMNS), list(ids))
    return {row["alert_id"]: _row(row) for row in rows}


async def write(
    connection: Connection, changed: Sequence[AlertRow], opened: Sequence[AlertRow], forgotten: Collection[UUID]
) -> None:
    """Forget, change and open alerts, in this order: so a new episode finds its scope free."""
    if forgotten:
        await connection.execute(_SQL["forget"], sorted(forgotten))
    for name, rows in (("change", changed), ("open", opened)):
        if rows:
            await connection.execute(_SQL[name], _as_json(rows))


async def intend(connection: Connection, intents: Sequence[Intent]) -> None:
    """Keep intents in their order."""
    if intents:
        await connection.execute(_SQL["intend"], *(list(column) for column in zip(*intents, strict=True)))


async def commands(connection: Connection, limit: int) -> list[Command]:
    """What people ask, in their order."""
    return [Command(*row) for row in await connection.fetch(_SQL["commands"], limit)]


async def done(connection: Connection, numbers: Sequence[int], at: datetime) -> None:
    """These commands were worked on."""
    await connection.execute(_SQL["done"], list(numbers), at)


async def expired(connection: Connection, now: datetime, limit: int) -> list[UUID]:
    """Alerts whose acknowledgement has run out."""
    return [row["alert_id"] for row in await connection.fetch(_SQL["expired"], now, limit)]


async def last_events(
    connection: Connection, windows: Sequence[Window], types: Collection[str], limit: int
) -> list[tuple[int, str, str, datetime]]:
    """(number, id, source, time) of the last events of assets (`Window.of`) in windows, the latest first."""
    columns = [list(column) for column in zip(*windows, strict=True)] if windows else []
    return [tuple(row) for row in await connection.fetch(_SQL["last_events"], *columns, list(types), limit)] if windows else []


async def subjects_beneath(connection: Connection, windows: Sequence[Window]) -> list[tuple[int, str]]:
    """(number, subject) of assets with readings in windows that add to series of areas (`Window.of`)."""
    columns = [list(column) for column in zip(*windows, strict=True)] if windows else []
    return [tuple(row) for row in await connection.fetch(_SQL["subjects_beneath"], *columns)] if windows else []


def _keys(keys: Collection[Key]) -> tuple[list[str], list[str]]:
    return [rule for rule, _ in keys], [scope for _, scope in keys]


def _row(row: asyncpg.Record) -> AlertRow:
    return AlertRow(**{name: msgspec.json.decode(value) if name in _JSON else value for name, value in row.items()})


def _as_json(rows: Sequence[AlertRow]) -> str:
    ordered = sorted(rows, key=lambda one: one.alert_id)
    return msgspec.json.encode(ordered).decode()
