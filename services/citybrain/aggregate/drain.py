"""Store what a topic has, and end: `citybrain aggregate --until-end`. Called by runner. The role rolls it up when it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from citybrain.aggregate.worker import AggregateWorker
from citybrain.bus.members import FixedMembership
from citybrain.bus.port import Bus

LOOK_S = 0.02


class Consumed(NamedTuple):
    """How many records the topic had in all, and the seconds that it took to get to their end."""

    records: int
    seconds: float


async def consume(bus: Bus, topic: str, make_worker: Callable[..., AggregateWorker], count: int) -> Consumed:
    """Up to the ends of now, by so many workers that share the partitions. Raises TooManyDeadLetters."""
    begun = time.monotonic()
    ends = await bus.ends(topic)
    workers = [make_worker(name=f"until end {n}", membership=FixedMembership(range(n, len(ends), count))) for n in range(count)]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        while True:
            await asyncio.wait(tasks, timeout=LOOK_S, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()
            reached = {number: at for worker in workers for number, at in worker.offsets().items()}
            if all(reached.get(number, -1) >= end for number, end in ends.items()):
                return Consumed(sum(ends.values()), time.monotonic() - begun)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):  # what ended one is raised above
                await task
