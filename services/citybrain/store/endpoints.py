"""Endpoints and their secrets. Called by citybrain.endpoints; decides nothing. Never logs a secret."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("endpoints")
_FIRST = (datetime(1900, 1, 1, tzinfo=UTC), UUID(int=0))


class EndpointRow(NamedTuple):
    """An endpoint, and how it does (None where nothing was sent yet)."""

    endpoint_id: UUID
    name: str
    url: str
    format: str
    is_default: bool
    language: str
    heartbeat: bool
    made_by: str
    made_at: datetime
    disabled_at: datetime | None
    disabled_why: str | None
    requests: int | None
    failures: int | None
    open_until: datetime | None
    failing_since: datetime | None
    last_success: datetime | None
    last_failure: datetime | None


class NewEndpoint(NamedTuple):
    """An endpoint that is to be made."""

    endpoint_id: UUID
    name: str
    url: str
    format: str
    is_default: bool
    language: str
    heartbeat: bool
    made_by: str


class OfProfile(NamedTuple):
    """An endpoint that the profile has made."""

    endpoint_id: UUID
    name: str
    removed_at: datetime | None


async def list_endpoints(connection: Connection, after: tuple[datetime, UUID] | None, limit: int) -> list[EndpointRow]:
    """Those that are not removed, in the order of their making, behind (made_at, endpoint_id)."""
    return [EndpointRow(*row) for row in await connection.fetch(_SQL["list"], *(after or _FIRST), limit)]


async def find(connection: Connection, name_or_id: str) -> EndpointRow | None:
    """One that is not removed."""
    row = await connection.fetchrow(_SQL["find"], name_or_id)
    return None if row is None else EndpointRow(*row)


async def find_by_name(connection: Connection, name: str) -> EndpointRow | None:
    """The one of this name that is not removed."""
    row = await connection.fetchrow(_SQL["find_by_name"], name)
    return None if row is None else EndpointRow(*row)


async def add(connection: Connection, new: NewEndpoint) -> bool:
    """False when the name is taken."""
    return await connection.fetchval(_SQL["add"], *new) is not None


async def change(connection: Connection, row: EndpointRow) -> bool:
    """Write all that may change; False when it was removed meanwhile."""
    values = (
        row.endpoint_id, row.name, row.url, row.format, row.is_default, row.language, row.disabled_at,
        row.disabled_why, row.made_by, row.heartbeat,
    )  # fmt: skip
    return await connection.fetchval(_SQL["change"], *values) is not None


async def live_secrets(connection: Connection, endpoint_id: UUID) -> list[str]:
    """Secrets that sign, the one in use first; held to the end of the transaction."""
    return [row["secret"] for row in await connection.fetch(_SQL["lock_secrets"], endpoint_id)]


async def put_secret(connection: Connection, endpoint_id: UUID, secret: str, overlap: timedelta) -> None:
    """The secret in use from now on; the one before signs, too, for `overlap`."""
    await connection.execute(_SQL["forget_secrets"], endpoint_id)
    await connection.execute(_SQL["retire_secrets"], endpoint_id, overlap)
    await connection.execute(_SQL["put_secret"], endpoint_id, secret)


async def reset_health(connection: Connection, endpoint_id: UUID) -> None:
    """Forget how it did."""
    await connection.execute(_SQL["reset_health"], endpoint_id)


async def remove(connection: Connection, endpoint_id: UUID) -> bool:
    """False when there is none."""
    return await connection.fetchval(_SQL["remove"], endpoint_id) is not None


async def of_profile(connection: Connection) -> Sequence[OfProfile]:
    """All that the profile has ever made, in the order of making."""
    return [OfProfile(*row) for row in await connection.fetch(_SQL["of_profile"])]


async def restore(connection: Connection, endpoint_id: UUID) -> None:
    """A line of the profile is back."""
    await connection.execute(_SQL["restore"], endpoint_id)


async def one_at_a_time(connection: Connection) -> None:
    """Hold back others that take up a profile, to the end of the transaction."""
    await connection.execute(_SQL["one_at_a_time"])
