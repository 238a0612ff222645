"""Deliveries, their attempts, and the health of endpoints. Called by deliver, the API and the commands; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("deliveries")


class Claimed(NamedTuple):
    """A delivery that this owner is to send now. `attempts` were made before, `tried` of them in its present schedule."""

    delivery_id: UUID
    webhook_id: str
    endpoint_id: UUID
    type: str
    body: bytes
    attempts: int
    tried: int
    waited: timedelta  # since it was due
    url: str
    format: str
    language: str
    secrets: Sequence[str]
    tick: datetime | None  # of a heartbeat

    @property
    def goes_nowhere(self) -> bool:
        """Whether it is a heartbeat that no endpoint is marked for: it is taken without a post."""
        return not self.url


class Made(NamedTuple):
    """An attempt that was made, and the state that follows; `wait` until the next one, None when there is none."""

    delivery_id: UUID
    attempt: int
    began_at: datetime
    took_ms: int
    status: int | None
    error: str | None
    answer: bytes
    state: str
    wait: timedelta | None


class NewDelivery(NamedTuple):
    """A delivery that is to be made."""

    delivery_id: UUID
    webhook_id: str
    endpoint_id: UUID
    type: str
    body: bytes


class HealthRow(NamedTuple):
    """How an endpoint does."""

    endpoint_id: UUID
    window_from: datetime
    requests: int
    failures: int
    open_until: datetime | None
    failing_since: datetime | None
    last_success: datetime | None
    last_failure: datetime | None


class DeliveryRow(NamedTuple):
    """A delivery as people see it."""

    delivery_id: UUID
    webhook_id: str
    endpoint_id: UUID
    endpoint: str
    type: str
    state: str
    alert_ids: Sequence[UUID]
    group_key: str | None
    made_at: datetime
    attempts: int
    next_attempt_at: datetime
    ended_at: datetime | None
    last_error: str | None


class AttemptRow(NamedTuple):
    """An attempt as people see it."""

    delivery_id: UUID
    attempt: int
    began_at: datetime
    took_ms: int
    status: int | None
    error: str | None
    answer: bytes | None


class DeliveryFilter(NamedTuple):
    """Which deliveries; None is any. `endpoint` is a name or an id."""

    endpoint: str | None = None
    state: str | None = None
    type: str | None = None
    alert_id: UUID | None = None
    since: datetime | None = None


async def free_claims(connection: Connection, owner: UUID, but: Sequence[UUID]) -> None:
    """What this owner has a claim on is free, but for some deliveries."""
    await connection.execute(_SQL["free_claims"], owner, but)


async def claim(
    connection: Connection, owner: UUID, lease: timedelta, limits: tuple[int, int], flying: Mapping[UUID, int]
) -> list[Claimed]:
    """Due deliveries; `limits` are how many at once an endpoint and of all, `flying` those of now by endpoint."""
    rows = await connection.fetch(_SQL["claim"], owner, lease, *limits, list(flying), list(flying.values()))
    return [Claimed(*(row[name] for name in Claimed._fields)) for row in rows]


async def lock_health(connection: Connection, endpoints: Sequence[UUID]) -> tuple[list[HealthRow], datetime | None]:
    """The health of endpoints, held to the end of the transaction, and the time."""
    await connection.execute(_SQL["add_health"], endpoints)
    rows = await connection.fetch(_SQL["lock_health"], endpoints)
    return [HealthRow(*(row[name] for name in HealthRow._fields)) for row in rows], rows[-1]["at"] if rows else None


async def put_health(connection: Connection, rows: Sequence[HealthRow]) -> None:
    """The health after attempts."""
    await connection.execute(_SQL["put_health"], *_columns(rows, HealthRow._fields))


async def record(connection: Connection, owner: UUID, made: Sequence[Made]) -> set[UUID]:
    """Write down attempts; the deliveries on which this owner still had its claim."""
    rows = await connection.fetch(_SQL["record"], owner, *_columns(made, Made._fields))
    return {row["delivery_id"] for row in rows}


async def disable(connection: Connection, endpoints: Sequence[UUID], why: str) -> None:
    """Endpoints get nothing until people say so."""
    await connection.execute(_SQL["disable"], endpoints, why)


async def cancel(connection: Connection) -> int:
    """End what waits for endpoints that take nothing; how many."""
    return int((await connection.execute(_SQL["cancel"])).rpartition(" ")[2])


async def bring_forward(connection: Connection, endpoints: Sequence[UUID], spread: timedelta) -> None:
    """What waits for endpoints is due within `spread`."""
    await connection.execute(_SQL["bring_forward"], endpoints, spread)


async def lag(connection: Connection) -> int:
    """Deliveries that could be sent now."""
    return int(await connection.fetchval(_SQL["lag"]))


async def put(connection: Connection, new: NewDelivery) -> None:
    """One delivery, due now."""
    await connection.execute(_SQL["put"], *new)


async def resend(connection: Connection, delivery_id: UUID) -> None:
    """Once more, at once."""
    await connection.execute(_SQL["resend"], delivery_id)


async def page(connection: Connection, wanted: DeliveryFilter, before: tuple[datetime, UUID], limit: int) -> list[DeliveryRow]:
    """The newest deliveries before a position."""
    rows = await connection.fetch(_SQL["page"], *before, *wanted, limit)
    return [DeliveryRow(*row) for row in rows]


async def of_alerts(connection: Connection, alerts: Sequence[UUID], limit: int) -> list[DeliveryRow]:
    """The first deliveries about some alerts."""
    return [DeliveryRow(*row) for row in await connection.fetch(_SQL["of_alerts"], alerts, limit)]


async def one(connection: Connection, delivery_id: UUID) -> tuple[DeliveryRow, bytes, bool] | None:
    """A delivery, its body, and whether its endpoint takes nothing now."""
    row = await connection.fetchrow(_SQL["one"], delivery_id)
    if row is None:
        return None
    return DeliveryRow(*(row[name] for name in DeliveryRow._fields)), row["body"], row["closed"]


async def attempts(connection: Connection, deliveries: Sequence[UUID]) -> dict[UUID, list[AttemptRow]]:
    """Attempts by delivery, in order."""
    found: dict[UUID, list[AttemptRow]] = {}
    for row in await connection.fetch(_SQL["attempts"], deliveries):
        found.setdefault(row["delivery_id"], []).append(AttemptRow(*row))
    return found


def _columns(rows: Sequence[Any], names: Sequence[str]) -> list[list[Any]]:
    return [[getattr(row, name) for row in rows] for name in names]
