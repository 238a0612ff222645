"""A rollup that is shared: several owners, each with shards of its own, who take turns. For tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from citybrain.aggregate.rollup import Rollup
from citybrain.aggregate.shards import ALL
from citybrain.bus.members import FixedMembership
from citybrain.city import City
from citybrain.telemetry import Metrics


class SharedRollup:
    """Steps like one rollup: the next owner's that finds anything to do."""

    def __init__(self, owners: Sequence[Rollup]) -> None:
        self.owners = list(owners)

    async def step(self) -> bool:
        for _ in self.owners:
            self.owners.append(self.owners.pop(0))
            if await self.owners[-1].step():
                return True
        return False


def shared_rollup(pool: Any, city: Callable[[], City], processes: int) -> SharedRollup:
    """Shards dealt out in turn."""
    shares = [frozenset(shard for shard in ALL if shard % processes == n) for n in range(processes)]
    return SharedRollup([Rollup(pool, city, Metrics(), owner=uuid4(), membership=FixedMembership(mine)) for mine in shares])
