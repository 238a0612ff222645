"""Leases: one owner at a time of a piece of work, with a fence. Called by rollup, alert and notification; decides nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from citybrain.errors import CitybrainError
from citybrain.store.pool import Connection, Pool, translated
from citybrain.store.queries import load

_SQL = load("leases")
_log = logging.getLogger(__name__)
LEASE_S = 5
RENEW_S = 2.0


async def take(connection: Connection, names: Collection[str], owner: UUID, seconds: int) -> dict[str, int]:
    """The fences of those leases that are ours now; the others have another owner. Waits for nobody."""
    rows = await connection.fetch(_SQL["take_leases"], list(names), owner, timedelta(seconds=seconds))
    return {row["name"]: row["fence"] for row in rows}


async def hold(connection: Connection, fences: dict[str, int], owner: UUID) -> bool:
    """Whether all of them are still ours; if so nobody takes one before this transaction ends."""
    rows = await connection.fetch(_SQL["hold_leases"], list(fences), owner, list(fences.values()))
    return len(rows) == len(fences)


async def give(connection: Connection, names: Collection[str], owner: UUID) -> None:
    """Let the next owner begin at once."""
    await connection.execute(_SQL["give_leases"], list(names), owner)


@dataclass(slots=True)
class Leases:
    """An owner's side of some leases: `fences` has those that are ours, as far as is known."""

    owner: UUID
    fences: dict[str, int] = field(default_factory=dict)
    _renew_at: float = 0.0

    async def taken(self, connection: Connection, wanted: Collection[str]) -> Collection[str]:
        """Which of the wanted are ours; what is not wanted any more is given up.

        They are renewed now and then, and asked for as long as one is another's; each transaction asks `held` besides.
        """
        unwanted = self.fences.keys() - set(wanted)
        if unwanted:
            await give(connection, unwanted, self.owner)
        if time.monotonic() >= self._renew_at or self.fences.keys() != set(wanted):
            if not self.fences:
                await connection.execute(_SQL["make_leases"], list(wanted))
            self.fences = await take(connection, wanted, self.owner, LEASE_S)
            self._renew_at = time.monotonic() + RENEW_S
        return self.fences.keys()

    async def held(self, connection: Connection) -> bool:
        """At the beginning of a transaction: whether all of them are ours until the end of it."""
        if not await hold(connection, self.fences, self.owner):
            self.forget()
        return bool(self.fences)

    def forget(self) -> None:
        """After a failure: ask again."""
        self.fences = {}

    async def give_up(self, pool: Pool) -> None:
        """At the end. Where the database does not answer, they run out by themselves."""
        try:
            with translated():
                async with asyncio.timeout(1), pool.acquire() as connection:
                    await give(connection, self.fences, self.owner)
        except (CitybrainError, TimeoutError):
            _log.info("leases_left", extra={"leases": sorted(self.fences)})


class Lease(Leases):
    """The owner's side of a single one: `fence` is None while it is another's, or unknown."""

    def __init__(self, name: str, owner: UUID) -> None:
        super().__init__(owner)
        self._name = name

    @property
    def fence(self) -> int | None:
        """Higher with each new owner."""
        return self.fences.get(self._name)

    async def is_ours(self, connection: Connection) -> bool:
        """Whether it is ours now."""
        return self._name in await self.taken(connection, (self._name,))
