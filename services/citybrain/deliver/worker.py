"""The deliver role: what is due is claimed, sent, and written down. Called by runner; the only writer of attempts and health.

Two loops share what is in flight. One claims due deliveries, a few of each endpoint at a time, so that a slow endpoint keeps
its own places and nobody else's. The other writes down what has ended, as many at once as have, and only then are their
places free: what is in flight is what the database says is claimed. A process that is killed leaves claims that run out
(a city that starts again frees its own at once), and the same deliveries are sent again under their webhook-ids.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from citybrain.deliver.outcomes import Outcome, write_down
from citybrain.deliver.post import TIMEOUT_S, Poster, open_poster
from citybrain.deliver.retry import Answer
from citybrain.endpoints.addresses import Policy
from citybrain.errors import CitybrainError
from citybrain.loops import note_failure, woken
from citybrain.store import deliveries
from citybrain.store.deliveries import Claimed
from citybrain.store.pool import Pool, translated
from citybrain.telemetry import Metrics

_log = logging.getLogger(__name__)
IDLE_S = 0.25
RETRY_S = 1.0
LEASE = timedelta(seconds=TIMEOUT_S + 15)
MAX_OF_ENDPOINT, MAX_IN_FLIGHT = 8, 256
SWEEP_S = 5.0
FINISH_S = 4.0


@dataclass(slots=True)
class Deliverer:
    """`wake` is set when a delivery was made. `owner` tells whose claims are whose."""

    pool: Pool
    policy: Policy
    metrics: Metrics
    clock: Callable[[], datetime]
    owner: UUID = field(default_factory=uuid4)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _flying: dict[UUID, UUID] = field(default_factory=dict)  # endpoint by delivery
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _ended: list[Outcome] = field(default_factory=list)
    _landed: asyncio.Event = field(default_factory=asyncio.Event)
    _swept_at: float = float("-inf")
    _unsure: bool = True  # there may be claims of ours that we know nothing of: from before the start, or of a claim that broke

    async def run(self) -> None:
        """Until cancelled; then what is in flight gets `FINISH_S` seconds, and the rest is left for the next owner."""
        async with AsyncExitStack() as stack:
            poster = await stack.enter_async_context(open_poster(self.policy, self.clock, MAX_IN_FLIGHT))
            stack.push_async_callback(self._finish)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._claiming(poster))
                group.create_task(self._recording())

    async def step(self) -> bool:
        """Send all that is due now and write it down; whether there was anything. For tests."""
        async with open_poster(self.policy, self.clock, MAX_IN_FLIGHT) as poster:
            began = await self._claim(poster)
            if self._tasks:
                await asyncio.wait(self._tasks)
            await self._record()
        return began > 0

    async def _claiming(self, poster: Poster) -> None:
        pulse = self.metrics.loops.begin("deliver")
        while True:
            self.wake.clear()
            began = 0

            async def claim() -> None:
                nonlocal began
                began = await self._claim(poster)

            await self._until_done(pulse.around(claim))
            if began == 0:
                await woken(self.wake, IDLE_S)

    async def _recording(self) -> None:
        while True:
            await self._landed.wait()
            await self._until_done(self._record)

    async def _until_done(self, work: Callable[[], Awaitable[object]]) -> None:
        """Again and again until it works: an outage of the database ends nothing."""
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - the loops' outermost edge: logged, counted, tried again
                note_failure(_log, "deliver_failed", self.metrics.deliver_errors, error)
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _claim(self, poster: Poster) -> int:
        """Begin what is due and has a place; how many."""
        flying = Counter(self._flying.values())
        with translated():
            async with self.pool.acquire() as connection:
                if time.monotonic() - self._swept_at > SWEEP_S:
                    await deliveries.cancel(connection)
                    self._swept_at = time.monotonic()
                if self._unsure:
                    await deliveries.free_claims(connection, self.owner, list(self._flying))
                self._unsure = True
                limits = (MAX_OF_ENDPOINT, MAX_IN_FLIGHT)
                claimed = await deliveries.claim(connection, self.owner, LEASE, limits, flying)
                self._unsure = False
        fresh = [one for one in claimed if one.delivery_id not in self._flying]
        for one in fresh:
            self._flying[one.delivery_id] = one.endpoint_id
            self.metrics.deliver_waited_seconds.observe(max(0.0, one.waited.total_seconds()))
            task = asyncio.create_task(self._send(poster, one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(fresh)

    async def _send(self, poster: Poster, delivery: Claimed) -> None:
        began_at, began = self.clock(), time.monotonic()
        try:
            answer = Answer() if delivery.goes_nowhere else await poster.post(delivery)
        except Exception as error:  # noqa: BLE001 - an attempt's outermost edge: logged, and a failure like any other
            self.metrics.deliver_errors.labels(type(error).__name__).inc()
            _log.exception("attempt_failed")
            answer = Answer(error=f"not sent: {type(error).__name__}, which is in our log")
        took_s = time.monotonic() - began
        if not delivery.goes_nowhere:
            self.metrics.deliver_attempt_seconds.observe(took_s)
        self._ended.append(Outcome(delivery, began_at, took_s, answer))
        self._landed.set()

    async def _record(self) -> None:
        """Write down what has ended; its places are free afterwards."""
        self._landed.clear()
        ended = list(self._ended)
        if not ended:
            return
        with translated():
            async with self.pool.acquire() as connection, connection.transaction():
                await write_down(connection, self.owner, ended, self.metrics)
        self._forget(ended)

    def _forget(self, ended: Sequence[Outcome]) -> None:
        del self._ended[: len(ended)]
        for one in ended:
            self._flying.pop(one.delivery.delivery_id, None)
        if self._ended:
            self._landed.set()
        self.wake.set()

    async def _finish(self) -> None:
        """The end: what is in flight may land, the rest is free for whoever comes next."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=FINISH_S)
        for task in set(self._tasks):
            task.cancel()
        try:
            async with asyncio.timeout(FINISH_S / 2):
                await self._record()
                with translated():
                    async with self.pool.acquire() as connection:
                        await deliveries.free_claims(connection, self.owner, [])
        except (CitybrainError, TimeoutError):
            _log.info("deliver_claims_left")
