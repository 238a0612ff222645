"""A crash before or after any statement of deliver loses no page; a repeat carries its webhook-id."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest

from citybrain.deliver.worker import Deliverer
from crashes import Crash, CrashingPool, Fuse
from delivering import delivering
from receivers import Behaviour, receiver

OWNER = UUID(int=7)
MANY = 100
pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_statement_loses_no_page(database: str, late: bool) -> None:
    async with delivering(database) as city, receiver() as team:
        team.told["/gone"] = Behaviour(410)
        statements = 0
        for at in range(1, MANY):
            await city.pool.execute("truncate delivery, attempt, endpoint_health")
            good, flaky, gone = [await city.endpoint(team.url(path)) for path in ("/good", f"/flaky{at}", "/gone")]
            team.told[f"/flaky{at}"] = Behaviour(503, times=1)
            made = await city.put(good, flaky, gone)
            team.hooks.clear()
            fuse = Fuse(at, late)
            crashed = await _until_crash(city.another(CrashingPool(city.pool, fuse), OWNER))
            await _successor(city.another(owner=OWNER))
            await city.due_now()
            await _successor(city.another(owner=OWNER))
            await city.pool.execute("update endpoint set removed_at = now() where removed_at is null")
            states = {row["endpoint_id"]: row["state"] for row in await city.rows()}
            assert states == {good: "delivered", flaky: "delivered", gone: "cancelled"}, at
            _check(Counter(hook.id for hook in team.hooks), {webhook: one for _, webhook, one in made}, flaky)
            if not crashed:
                statements = at - 1
                break
        assert statements >= 8


async def _until_crash(deliverer: Deliverer) -> bool:
    try:
        while await deliverer.step():
            pass
    except Crash:
        return True
    return False


async def _successor(deliverer: Deliverer) -> None:
    while await deliverer.step():
        pass


def _check(seen: Counter[str], made: dict[str, UUID], flaky: UUID) -> None:
    """Everything arrived; nothing more than once again for each time that it was in flight in a crash."""
    for webhook, endpoint in made.items():
        least = 2 if endpoint == flaky else 1
        assert least <= seen[webhook] <= least + 1
    assert set(seen) == set(made)
