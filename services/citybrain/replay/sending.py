"""Batches on their way: a few posts at once, acknowledged in order. Called by replay's and simulate's run. Never makes events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from citybrain.client.http import Answer, CityClient

IN_FLIGHT = 4
MAX_BATCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """Events to post together: their bodies, the lines they come from, and how far the file was read behind the last one."""

    events: Sequence[bytes]
    lines: Sequence[int]
    end: int


async def send(
    batches: AsyncIterator[Batch],
    client: CityClient,
    acknowledge: Callable[[Batch, Answer], None],
    in_flight: int = IN_FLIGHT,
) -> None:
    """Post every batch. `acknowledge` is called in the order of the batches, when all before are answered too.

    The first failure stops everything and is raised as it is; what was answered by then is acknowledged up to the gap.
    """
    waiting: deque[tuple[Batch, asyncio.Task[Answer]]] = deque()

    def settle() -> None:
        while waiting and waiting[0][1].done() and not waiting[0][1].cancelled() and waiting[0][1].exception() is None:
            batch, task = waiting.popleft()
            acknowledge(batch, task.result())

    try:
        async with asyncio.TaskGroup() as group:
            async for batch in batches:
                waiting.append((batch, group.create_task(client.post(batch.events))))
                if len(waiting) >= in_flight:
                    await asyncio.wait([waiting[0][1]])
                settle()
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    finally:
        settle()
