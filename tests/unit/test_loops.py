"""Steps in a loop: when one follows at once, after a rest, or when woken."""

from __future__ import annotations

import asyncio

from citybrain.loops import until_cancelled


async def run(answers: list[bool], wake: asyncio.Event, woken_in: set[int], idle_s: float = 60.0) -> list[bool]:
    """So many steps with these answers, `wake` being set within some of them; of each rest, whether it was set."""
    rests: list[bool] = []
    done = 0

    async def step() -> bool:
        nonlocal done
        if done == len(answers):
            raise asyncio.CancelledError
        if done in woken_in:
            wake.set()
        done += 1
        return answers[done - 1]

    def rest_s(_: float) -> float:
        rests.append(wake.is_set())
        return 0.0

    try:
        async with asyncio.timeout(5):
            await until_cancelled(step, lambda error: None, wake, idle_s, rest_s)
    except asyncio.CancelledError:
        pass
    assert done == len(answers)
    return rests


async def test_a_rest_is_told_whether_anything_came_during_the_step() -> None:
    wake = asyncio.Event()
    wake.set()  # before the first step, which sees it
    assert await run([True, True, True], wake, {1}) == [False, True, False]


async def test_what_came_during_the_last_step_is_looked_at_without_waiting() -> None:
    assert await run([True, False, True], asyncio.Event(), {1}) == [False, False]


async def test_nothing_to_do_is_followed_by_another_look() -> None:
    assert await run([False, False, True], asyncio.Event(), set(), idle_s=0.01) == [False]
