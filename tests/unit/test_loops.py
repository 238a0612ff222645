"""Steps in a loop: when one follows at once, after a rest, or when woken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence

from citybrain.loops import until_cancelled


async def run(
    busy: Sequence[bool], woken_in: Collection[int] = (), rest_s: float = 0.0, idle_s: float = 60.0
) -> tuple[list[float], list[bool]]:
    """When each step began, after so many with these answers, and at each rest whether `wake` was set, as it is within some
    steps. Too long a wait is an error."""
    begun: list[float] = []
    rests: list[bool] = []
    wake = asyncio.Event()
    wake.set()  # before the first step, which sees what there is

    async def step() -> bool:
        begun.append(time.monotonic())
        if len(begun) > len(busy):
            raise asyncio.CancelledError
        if len(begun) - 1 in woken_in:
            wake.set()
        return busy[len(begun) - 1]

    def rest(_: float) -> float:
        rests.append(wake.is_set())
        return rest_s

    try:
        async with asyncio.timeout(10):
            await until_cancelled(step, lambda _: None, wake, idle_s, rest)
    except asyncio.CancelledError:
        pass
    assert len(begun) == len(busy) + 1
    return begun, rests


async def test_a_rest_is_told_whether_anything_came_during_its_step() -> None:
    assert (await run([True, True, True], woken_in={1}))[1] == [False, True, False]


async def test_after_a_busy_step_there_is_a_rest() -> None:
    begun, _ = await run([True, True], rest_s=0.1)
    assert begun[2] - begun[0] >= 0.2


async def test_what_came_during_a_step_that_found_nothing_is_looked_at_without_waiting() -> None:
    await run([False, False], woken_in={0, 1})


async def test_nothing_to_do_is_followed_by_another_look() -> None:
    begun, rests = await run([False, False], idle_s=0.1)
    assert begun[1] - begun[0] >= 0.1
    assert rests == []
