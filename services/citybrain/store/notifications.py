"""Intents, groups and what they have told, in the one transaction of a step. Called by alert.notify; decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("notifications")
Key = tuple[str, UUID]  # a group and one of its alerts


class Standing(NamedTuple):
    """Whether there are intents to route, groups that are due, alerts that are held."""

    intents: bool
    due: bool
    held: bool


class EndpointState(NamedTuple):
    """An endpoint that is not removed; `works`: not disabled."""

    endpoint_id: UUID
    name: str
    is_default: bool
    works: bool


class IntentRow(NamedTuple):
    """A transition that somebody may want to hear of."""

    number: int
    alert_id: UUID
    kind: str
    sequence: int


class GroupRow(NamedTuple):
    """A group that has something to tell at `flush_at` if it is new, else after its interval. `plan`: see the table."""

    key: str
    rule_version: int
    route: int
    labels: Mapping[str, str]
    plan: Mapping[str, object]
    flush_at: datetime


class DueGroup(NamedTuple):
    """A group whose flush is due."""

    key: str
    labels: dict[str, str]
    plan: dict[str, Any]


class MemberRow(NamedTuple):
    """What a group has told of an alert: see the table `notified`."""

    group_key: str
    alert_id: UUID
    state: str
    intents: list[int]
    intent_no: int | None
    held: str | None
    told_at: datetime | None
    first_told_at: datetime | None
    escalated: int


class Decided(NamedTuple):
    """What became of an intent, and why."""

    number: int
    outcome: str
    reason: Mapping[str, object]


class NewDelivery(NamedTuple):
    """A webhook to be sent to one endpoint."""

    delivery_id: UUID
    endpoint_id: UUID
    type: str
    body: bytes
    alert_ids: Sequence[str]
    group_key: str


async def standing(connection: Connection, now: datetime) -> Standing:
    """What there is to do."""
    row = await connection.fetchrow(_SQL["standing"], now)
    return Standing(*(row or (False, False, False)))


async def lag(connection: Connection, now: datetime) -> int:
    """Intents and groups that could be worked on now."""
    found: int = await connection.fetchval(_SQL["lag"], now)
    return found


async def endpoints(connection: Connection) -> list[EndpointState]:
    """All that are not removed, by name."""
    return [EndpointState(*row) for row in await connection.fetch(_SQL["endpoints"])]


async def take_intents(connection: Connection, limit: int) -> list[IntentRow]:
    """The next ones to route, locked."""
    return [IntentRow(*row) for row in await connection.fetch(_SQL["take_intents"], limit)]


async def intents(connection: Connection, numbers: Collection[int]) -> dict[int, IntentRow]:
    """Some intents by their numbers."""
    if not numbers:
        return {}
    return {row["intent_no"]: IntentRow(*row) for row in await connection.fetch(_SQL["intents"], list(numbers))}


async def routed(connection: Connection, numbers: Sequence[int], now: datetime) -> None:
    """They are in the hands of their groups, or decided."""
    await connection.execute(_SQL["routed"], numbers, now)


async def decide(connection: Connection, decided: Sequence[Decided], now: datetime) -> None:
    """Record what became of intents; one that is in several groups keeps the best."""
    if decided:
        reasons = [_json(one.reason) for one in decided]
        await connection.execute(_SQL["decide"], [one.number for one in decided], [one.outcome for one in decided], reasons, now)


async def memberships(connection: Connection, alert_ids: Collection[UUID]) -> list[Key]:
    """The groups that some alerts are in."""
    found = await connection.fetch(_SQL["memberships"], list(alert_ids))
    return [(row["group_key"], row["alert_id"]) for row in found]


async def put_groups(connection: Connection, groups: Sequence[GroupRow], now: datetime) -> None:
    """Groups that have something to tell, new or not."""
    if groups:
        keys, versions, routes, labels, plans, times = (list(column) for column in zip(*groups, strict=True))
        texts = [[_json(one) for one in column] for column in (labels, plans)]
        await connection.execute(_SQL["put_groups"], keys, versions, routes, *texts, times, now)


async def hurry_groups(connection: Connection, keys: Collection[str], now: datetime) -> None:
    """The same for groups that are known to exist."""
    if keys:
        await connection.execute(_SQL["hurry_groups"], sorted(keys), now)


async def put_intents(connection: Connection, given: Sequence[tuple[str, UUID, int]]) -> None:
    """Give (group, alert, intent) to the groups."""
    if given:
        await connection.execute(_SQL["put_intents"], *_columns(given))


async def held(connection: Connection) -> list[tuple[Key, dict[str, Any]]]:
    """All that is held, with the plan of its group."""
    rows = await connection.fetch(_SQL["held"])
    return [((row["group_key"], row["alert_id"]), msgspec.json.decode(row["plan"])) for row in rows]


async def free(connection: Connection, members: Sequence[Key]) -> None:
    """They are held no longer."""
    if members:
        await connection.execute(_SQL["free"], *_columns(members))


async def due_groups(connection: Connection, now: datetime, limit: int) -> list[DueGroup]:
    """Groups to flush, locked."""
    rows = await connection.fetch(_SQL["due_groups"], now, limit)
    return [DueGroup(row["group_key"], msgspec.json.decode(row["labels"]), msgspec.json.decode(row["plan"])) for row in rows]


async def members(connection: Connection, keys: Collection[str]) -> list[MemberRow]:
    """All alerts of some groups."""
    return [MemberRow(*row) for row in await connection.fetch(_SQL["members"], list(keys))] if keys else []


async def change_members(connection: Connection, changed: Sequence[MemberRow], gone: Sequence[Key]) -> None:
    """Members as they are after a flush (their intents are dealt with), and those that have left."""
    if changed:
        columns = _columns([(*one[:3], *one[4:]) for one in changed])
        await connection.execute(_SQL["change_members"], *columns)
    if gone:
        await connection.execute(_SQL["drop_members"], *_columns(gone))


async def flushed(connection: Connection, next_at: Sequence[tuple[str, datetime | None]], now: datetime) -> None:
    """When groups are looked at next; those without members are done."""
    if next_at:
        await connection.execute(_SQL["flushed"], *_columns(next_at), now)


async def put_deliveries(connection: Connection, new: Sequence[NewDelivery], now: datetime) -> None:
    """Deliveries that are due at once."""
    if new:
        columns = _columns([(*one[:4], " ".join(one.alert_ids), one.group_key) for one in new])
        await connection.execute(_SQL["put_deliveries"], *columns, now)


async def escalated(connection: Connection, levels: Sequence[tuple[UUID, int]]) -> None:
    """How far alerts were escalated."""
    if levels:
        await connection.execute(_SQL["escalated"], *_columns(levels))


async def put_told(connection: Connection, told: Sequence[tuple[UUID, int]], kind: str, now: datetime) -> None:
    """Intents of notification itself: (alert, entry of its log), sent already."""
    if told:
        await connection.execute(_SQL["put_told"], *_columns(told), kind, now)


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _json(content: object) -> str:
    return msgspec.json.encode(content).decode()
