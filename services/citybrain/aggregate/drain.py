"""Store what a topic has, roll it up, and end: `citybrain aggregate --until-end`. Called by runner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from citybrain.aggregate.rollup import Rollup
from citybrain.aggregate.worker import AggregateWorker
from citybrain.bus.members import FixedMembership
from citybrain.bus.port import Bus
from citybrain.errors import CitybrainError
from citybrain.store import rollups
from citybrain.store.pool import translated

LOOK_S = 0.02


class EndsBefore(CitybrainError):
    """The topic has fewer records than were read of it."""


class Consumed(NamedTuple):
    """How many records the topic had from its beginning, and the seconds until they were stored and until all was rolled up."""

    records: int
    stored_s: float
    rolled_up_s: float


async def consume(bus: Bus, topic: str, make_worker: Callable[..., AggregateWorker], count: int, rollup: Rollup) -> Consumed:
    """Up to the ends of now, by so many workers that share the partitions. Others may work beside it, on rows and on shards.

    Raises TooManyDeadLetters, EndsBefore.
    """
    begun = time.monotonic()
    ends = await bus.ends(topic)
    workers = [
        make_worker(stored=rollup.wake.set, name=f"until end {n}", membership=FixedMembership(range(n, len(ends), count)))
        for n in range(count)
    ]
    async with _running([rollup.run()]) as rolling:
        async with _running([worker.run() for worker in workers]) as reading:
            while not _are_read(ends, reached := _reached(workers)):
                await _refuse_less(bus, topic, ends, reached)
                await _look(rolling | reading)
        await _refuse_less(bus, topic, ends, reached)
        stored = time.monotonic()
        while await _is_dirty(rollup):
            await _look(rolling)
        return Consumed(sum(ends.values()), stored - begun, time.monotonic() - begun)


def _reached(workers: list[AggregateWorker]) -> dict[int, int]:
    return {number: at for worker in workers for number, at in worker.offsets().items()}


def _are_read(ends: dict[int, int], reached: dict[int, int]) -> bool:
    return all(reached.get(number, -1) >= end for number, end in ends.items())


async def _refuse_less(bus: Bus, topic: str, ends: dict[int, int], reached: dict[int, int]) -> None:
    """The topic may have grown beyond these ends, but has what was read of it. Raises EndsBefore."""
    if all(at <= ends[number] for number, at in reached.items()):
        return
    ends = await bus.ends(topic)
    for number, at in reached.items():
        if at > ends[number]:
            raise EndsBefore(
                f"partition {number} ends at {ends[number]}, and {at} records were read of it: the topic was made anew or has"
                " lost records; give the city a topic that goes on, or a new database"
            )


async def _is_dirty(rollup: Rollup) -> bool:
    with translated():
        async with rollup.pool.acquire() as connection:
            return await rollups.is_dirty(connection)


async def _look(tasks: set[asyncio.Task[None]]) -> None:
    """Wait a moment; raise what ended one of them."""
    done, _ = await asyncio.wait(tasks, timeout=LOOK_S, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


@asynccontextmanager
async def _running(loops: list[Coroutine[Any, Any, None]]) -> AsyncIterator[set[asyncio.Task[None]]]:
    """Tasks that end with the block."""
    tasks = {asyncio.create_task(loop) for loop in loops}
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):  # what ended one was raised in the block
                await task
