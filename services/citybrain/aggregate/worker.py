"""The worker of aggregate: fetch, decode, store, one transaction a batch, until cancelled. Started by runner.

It keeps no state that a crash could lose: positions and watermarks are read from the database at the start and after every
failure. While a batch is being stored, the next one is fetched and decoded in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from citybrain.aggregate.announced import Announced
from citybrain.aggregate.batch import BatchContext, Fenced, store_batch
from citybrain.aggregate.columns import micros_of, moment_of
from citybrain.aggregate.decode import Decoded, decode
from citybrain.aggregate.limits import DeadLetterLimit, TooManyDeadLetters
from citybrain.aggregate.newest import Newest
from citybrain.aggregate.shards import sharding
from citybrain.aggregate.windows import HOUR
from citybrain.bus.port import Bus, Membership
from citybrain.city import City
from citybrain.loops import Pulse, note_failure
from citybrain.store import batches
from citybrain.store.batches import Figures, Position
from citybrain.store.dictionary import Dictionary
from citybrain.store.partitions import Partitions, month_of
from citybrain.store.pool import Pool, translated
from citybrain.telemetry import Metrics

_log = logging.getLogger(__name__)
MAX_RECORDS = 20_000
FEWEST_RECORDS = 500  # a failure halves batches down to this, a success adds it: what takes too long goes in smaller parts
SMALL_BATCH = 2_000
REST_SHARE, LONGEST_REST_S = 6.0, 0.4  # of two workers: a small batch costs hardly less than a large one
WAIT_S, NO_PARTITIONS_S, FENCED_S = 1.0, 0.1, 0.2
RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)


class _Moved(Exception):
    """Other partitions are ours now: begin anew."""


@dataclass(slots=True)
class AggregateWorker:
    """One owner of partitions of a topic. `stored` is called after every commit (rollup listens).

    It reads the partitions of its membership; without one, all of them. `stops` at too many dead letters, or waits for people.
    """

    pool: Pool
    bus: Bus
    topic: str
    city: Callable[[], City]
    metrics: Metrics
    stored: Callable[[], None] = lambda: None
    name: str = "aggregate"
    membership: Membership | None = None
    stops: bool = False
    max_records: int = MAX_RECORDS
    _dictionary: Dictionary = field(init=False)
    _announced: Announced = field(default_factory=Announced)
    _newest: Newest = field(default_factory=Newest)
    _partitions: Partitions = field(default_factory=Partitions)
    _limit: DeadLetterLimit = field(default_factory=DeadLetterLimit)
    _positions: dict[int, Position] = field(default_factory=dict)
    _assignment: int = 0  # the number of the one that is worked on
    _failures: int = 0  # since the last batch that was stored
    _most: int = field(init=False)  # records of the next batch
    _waiting: int = 0  # records of the last one
    _pulse: Pulse | None = None

    def __post_init__(self) -> None:
        self._dictionary = Dictionary(sharding(self.city))
        self._most = self.max_records

    async def run(self) -> None:
        """Until cancelled. A failure is logged, and work begins again from the stored positions."""
        self._pulse = self.metrics.loops.begin("aggregate")
        while True:
            try:
                await self._read_on()
            except _Moved:
                continue
            except Fenced:
                self.metrics.aggregate_fenced.inc()
                _log.warning("aggregate_fenced", extra={"worker": self.name})
                await asyncio.sleep(FENCED_S)  # who was ahead goes on; soon it is clear whose partitions they are
            except TooManyDeadLetters as error:
                if self.stops:
                    raise
                await self._failed(error)
            except Exception as error:  # noqa: BLE001 - the worker's outermost edge: logged, counted, tried again
                await self._failed(error)

    async def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._most = max(min(FEWEST_RECORDS, self.max_records), self._most // 2)
        if self._pulse is not None:
            self._pulse.failed(error)
        note_failure(_log, "aggregate_failed", self.metrics.aggregate_errors, error)
        await asyncio.sleep(RETRY_S[min(self._failures, len(RETRY_S)) - 1])

    async def step(self) -> bool:
        """Store one batch; False when there was none. For tests and tools that want no loop."""
        if not self._positions or self._has_moved():
            await self._seed()
        decoded = await self._prepare(self.offsets())
        if decoded is None:
            return False
        await self._store(decoded)
        return True

    async def _seed(self) -> None:
        """Read where the last owner of what is ours now stopped."""
        self._dictionary.rolled_back()
        self._partitions.forget()
        everything = range(await self.bus.partitions(self.topic))
        mine: Iterable[int] = everything
        if self.membership is not None:
            self._assignment, mine = self.membership.current()
        with translated():
            async with self.pool.acquire() as connection:
                self._positions = await batches.open_positions(connection, self.topic, everything, sorted(mine))

    def _has_moved(self) -> bool:
        return self.membership is not None and self.membership.current().number != self._assignment

    async def _read_on(self) -> None:
        """Batch after batch, the next one being prepared while one is stored. Returns never; raises what went wrong.

        What was prepared of partitions that are not ours any more is dropped.
        """
        await self._seed()
        ready = await self._prepare(self.offsets())
        while True:
            if self._has_moved():
                raise _Moved
            if ready is None:
                self._come_round()
                await self._wait()
                ready = await self._prepare(self.offsets())
                continue
            if ready.records < SMALL_BATCH:
                ready = await self._store_and_rest(ready)
                continue
            after = self.offsets() | {number: progress.next_offset for number, progress in ready.progress.items()}
            upcoming = asyncio.create_task(self._prepare(after))
            try:
                await self._store(ready)
                ready = await upcoming
            finally:
                upcoming.cancel()

    def _come_round(self) -> None:
        """All there was is stored, or a batch is. Work begins when it is clear which partitions are ours, be it none."""
        if self._pulse is not None and (self.membership is None or self._assignment > 0):
            self._pulse.done()

    async def _wait(self) -> None:
        if self._positions:
            await self.bus.wait(self.topic, WAIT_S, self.name)
        else:
            await asyncio.sleep(NO_PARTITIONS_S)

    async def _store_and_rest(self, ready: Decoded) -> Decoded | None:
        """A small batch costs hardly less than a large one: let more events gather for the next."""
        begun = time.monotonic()
        await self._store(ready)
        await asyncio.sleep(min(LONGEST_REST_S, REST_SHARE * (time.monotonic() - begun)))
        return await self._prepare(self.offsets())

    @property
    def is_behind(self) -> bool:
        """Whether more than half of the largest batch was waiting when the last one was fetched."""
        return self._waiting > self.max_records // 2

    def offsets(self) -> dict[int, int]:
        """The next offset of every partition that is this worker's; empty before the first is known."""
        return {partition: position.next_offset for partition, position in self._positions.items()}

    async def _prepare(self, offsets: dict[int, int]) -> Decoded | None:
        fetched = await self.bus.fetch(self.topic, offsets, self._most)
        self._waiting = sum(len(batch.values) for batch in fetched)
        if not fetched:
            return None
        if self._waiting < 500:
            return decode(fetched, offsets)
        return await asyncio.to_thread(decode, fetched, offsets)

    async def _store(self, decoded: Decoded) -> None:
        begun = time.monotonic()
        dead = len(decoded.undecodable)
        self._limit.check(decoded.records, dead)
        settings = self.city().settings
        context = BatchContext(
            self.topic,
            settings.zone,
            settings.watermark_delay,
            self._dictionary,
            self._announced,
            self._newest,
            self._least_watermark(),
            {number: position.last_heartbeat for number, position in self._positions.items()},
        )
        try:
            with translated():
                async with self.pool.acquire() as connection:
                    await self._partitions.ensure(connection, _months(decoded))
                    async with connection.transaction():
                        figures = await store_batch(connection, decoded, context)
        except BaseException:
            self._dictionary.rolled_back()
            self._announced.rolled_back()
            self._newest.rolled_back()
            raise
        self._dictionary.committed()
        self._announced.committed()
        self._newest.committed()
        self._limit.count(decoded.records, dead)
        self._failures = 0
        self._most = min(self.max_records, self._most + FEWEST_RECORDS)
        self._come_round()
        self._go_to(decoded, context)
        self._tell(decoded, figures, time.monotonic() - begun)
        self.stored()

    def _least_watermark(self) -> int:
        """The minimum over our partitions, in µs; while one has none, everything is open.

        Never below the minimum over all of them, by which rollup and alert call a minute final: until this batch is committed no
        other moves ours. So what is open by this is open for them, and what is late for them is late by this.
        """
        marks = [position.watermark for position in self._positions.values()]
        return min((0 if mark is None else micros_of(mark) for mark in marks), default=0)

    def _go_to(self, decoded: Decoded, context: BatchContext) -> None:
        for partition, progress in decoded.progress.items():
            before = self._positions[partition]
            beats = [beat for beat in (before.last_heartbeat, *progress.heartbeats) if beat is not None]
            self._positions[partition] = Position(
                progress.next_offset,
                _later(before.watermark, progress.watermark(context.watermark_delay)),
                max(beats, default=None),
            )

    def _tell(self, decoded: Decoded, figures: Figures, seconds: float) -> None:
        self.metrics.aggregate_batch_seconds.observe(seconds)
        self.metrics.aggregate_batch_records.observe(decoded.records)
        for outcome in ("stored", "repeated", "conflicts", "dead"):
            self.metrics.aggregate_events.labels(outcome).inc(getattr(figures, outcome))
        if figures.dead:
            _log.error("dead_letters", extra={"count": figures.dead, "reason": decoded.undecodable[0].reason})
        _log.debug("batch_stored", extra={**figures._asdict(), "seconds": round(seconds, 4)})


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)


def _months(decoded: Decoded) -> set[tuple[int, int]]:
    """The monthly partitions that a batch writes to."""
    hours = (decoded.events["at"] // HOUR * HOUR).unique()
    return {month_of(moment_of(hour)) for hour in hours}
