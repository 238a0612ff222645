"""Leases: one owner at a time of a piece of work, with a fence. Called by rollup, alert and notification; decides nothing."""

from __future__ import annotations

import asyncio
import logging
import time
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


async def take(connection: Connection, name: str, owner: UUID, seconds: int) -> int | None:
    """The fence of a lease that is ours now; None while another owner has it."""
    fence: int | None = await connection.fetchval(_SQL["take_lease"], name, owner, timedelta(seconds=seconds))
    return fence


async def hold(connection: Connection, name: str, owner: UUID, fence: int) -> bool:
    """Whether the lease is still ours; if so nobody takes it before this transaction ends."""
    return await connection.fetchval(_SQL["hold_lease"], name, owner, fence) is not None


async def give(connection: Connection, name: str, owner: UUID) -> None:
    """Let the next owner begin at once."""
    await connection.execute(_SQL["give_lease"], name, owner)


@dataclass(slots=True)
class Lease:
    """An owner's side of a lease: `fence` is None while it is another's, or unknown."""

    name: str
    owner: UUID
    fence: int | None = None
    _renew_at: float = field(default=0.0)

    async def taken(self, connection: Connection) -> bool:
        """Whether it is ours. It is renewed now and then; each transaction asks `held` besides."""
        now = time.monotonic()
        if self.fence is None or now >= self._renew_at:
            self.fence = await take(connection, self.name, self.owner, LEASE_S)
            self._renew_at = now + RENEW_S
        return self.fence is not None

    async def held(self, connection: Connection) -> bool:
        """At the beginning of a transaction: whether it is ours until the end of it."""
        if self.fence is None or not await hold(connection, self.name, self.owner, self.fence):
            self.fence = None
        return self.fence is not None

    def forget(self) -> None:
        """After a failure: ask again."""
        self.fence = None

    async def give_up(self, pool: Pool) -> None:
        """At the end. Where the database does not answer, the lease runs out by itself."""
        try:
            with translated():
                async with asyncio.timeout(1), pool.acquire() as connection:
                    await give(connection, self.name, self.owner)
        except (CitybrainError, TimeoutError):
            _log.info("lease_left", extra={"lease": self.name})
