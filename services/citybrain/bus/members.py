"""Who reads which partition where Kafka does not say: members as rows, or fixed shares. Made by `PostgresBus.join`, by runner for
the shards of the rollup, and by tools.

A member is one as long as it says so once a second. Partition p of n members in the order of their names is number p % n's. Two
that do not know of each other yet may read the same for a second: positions fence them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

from citybrain.bus.port import Assignment
from citybrain.store.pool import DatabaseUnavailable, Pool, translated
from citybrain.store.queries import load

_SQL = load("bus")
_log = logging.getLogger(__name__)
BEAT_S = 1.0
ALIVE = timedelta(seconds=5)


class FixedMembership:
    """Always the same partitions."""

    def __init__(self, partitions: Iterable[int]) -> None:
        self._current = Assignment(1, frozenset(partitions))

    def current(self) -> Assignment:
        """Never changes."""
        return self._current

    def why_not(self) -> str | None:
        """Nobody can refuse it."""
        return None

    async def leave(self) -> None:
        """Nobody else would take them."""


class PostgresMembership:
    """See `citybrain.bus.port.Membership`. While the database does not answer it keeps what it had."""

    def __init__(self, pool: Pool, place: tuple[str, str, str], partitions: int) -> None:
        self._pool, self._place, self._partitions = pool, place, partitions
        self._current = Assignment(0, frozenset())
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Become a member, and stay one until `leave`."""
        await self._beat()
        self._task = asyncio.create_task(self._stay(), name=f"bus member {self._place[2]}")

    def current(self) -> Assignment:
        """As of the last beat."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()  # raises: it ends by cancellation, or by an error that nobody foresaw
        return self._current

    def why_not(self) -> str | None:
        """Nobody refuses a row; a database that is away is no fault of ours."""
        return None

    async def leave(self) -> None:
        """Take back the row; where that fails it runs out."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(DatabaseUnavailable, TimeoutError), translated():
            async with asyncio.timeout(1):
                await self._pool.execute(_SQL["leave"], *self._place)
        self._current = Assignment(self._current.number + 1, frozenset())

    async def _stay(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await self._beat()

    async def _beat(self) -> None:
        try:
            with translated():
                rows = await self._pool.fetch(_SQL["stay_member"], *self._place, ALIVE)
        except DatabaseUnavailable as error:
            _log.warning("bus_membership_unsure", extra={"member": self._place[2], "reason": str(error)[:500]})
            return
        names = [row["member"] for row in rows]
        place, count = names.index(self._place[2]), len(names)
        mine = frozenset(number for number in range(self._partitions) if number % count == place)
        if mine != self._current.partitions or self._current.number == 0:
            self._current = Assignment(self._current.number + 1, mine)
            _log.info("bus_partitions", extra={"member": self._place[2], "partitions": sorted(mine), "members": count})
