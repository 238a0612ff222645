"""What could not be processed. Called by the `dead` commands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from citybrain.errors import CitybrainError
from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("dead")


class NoDeadLetter(CitybrainError):
    """There is no dead letter of this number."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record as it was read from the topic, and why it could not be processed."""

    number: int
    role: str
    topic: str
    partition: int
    offset: int
    key: bytes
    type: str
    value: bytes
    reason: str
    seen: datetime
    requeued_at: datetime | None


async def list_dead_letters(connection: Connection, *, requeued_too: bool, limit: int) -> list[dict[str, Any]]:
    """The newest first, without their bytes."""
    return [dict(row) for row in await connection.fetch(_SQL["list"], requeued_too, limit)]


async def dead_letter(connection: Connection, number: int) -> DeadLetter:
    """One, with its bytes. Raises NoDeadLetter."""
    row = await connection.fetchrow(_SQL["show"], number)
    if row is None:
        raise NoDeadLetter(f"there is no dead letter {number}")
    return DeadLetter(*row)


async def waiting_numbers(connection: Connection) -> list[int]:
    """Those that were never put back."""
    return [row["dead_letter_no"] for row in await connection.fetch(_SQL["waiting"])]


async def requeued(connection: Connection, number: int) -> None:
    """A dead letter was put back on its topic."""
    await connection.execute(_SQL["requeued"], number)
