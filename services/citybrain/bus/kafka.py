"""The bus on Apache Kafka: what a cluster uses. Keeps the promises of `port.py` with aiokafka; chosen by runner.

Positions are the reader's, in its database: no reading goes through a Kafka group. Retention is Kafka's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

from aiokafka import TopicPartition

from citybrain.bus.kafka_append import KafkaAppender
from citybrain.bus.kafka_errors import DRIVER_ERRORS, line_of, why_not
from citybrain.bus.kafka_members import KafkaMembership
from citybrain.bus.kafka_read import KafkaReader, open_consumer, start_consumer, stop_consumer
from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.bus.kafka_topics import ensure_topic
from citybrain.bus.port import Batch, BusUnavailable, Membership, Record, partition_of
from citybrain.telemetry import Metrics

CLOSE_TIMEOUT_S = 3
LOOK_S = 0.1  # between two looks of a waiting reader at the ends: Kafka tells nobody
_Answer = TypeVar("_Answer")
MAX_READERS = 4  # sets of partitions that are read ahead at a time


class KafkaBus:
    """See `citybrain.bus.port.Bus`. Make it with `open_kafka_bus`."""

    def __init__(self, servers: str, settings: KafkaSettings, metrics: Metrics) -> None:
        self._servers = servers
        self._settings = settings
        self._metrics = metrics
        self._appender = KafkaAppender(servers, settings, metrics, self._tell_readers)
        self._partitions: dict[str, int] = {}
        self._readers: OrderedDict[tuple[str, frozenset[int]], KafkaReader] = OrderedDict()
        self._positions: defaultdict[str, dict[int, int]] = defaultdict(dict)  # where readers of this process stand
        self._seen: dict[tuple[str, str], dict[int, int]] = {}  # by topic and reader: the ends at its last wait
        self._arrived: defaultdict[str, dict[str, asyncio.Event]] = defaultdict(dict)
        self._looker: Any = None
        self._looking = asyncio.Lock()
        self._asking: dict[str, asyncio.Task[Any]] = {}  # who asks the same shares one answer
        self._members: list[KafkaMembership] = []

    async def partitions(self, topic: str) -> int:
        if topic not in self._partitions:
            facts = await self._shared(f"topic {topic}", lambda: ensure_topic(self._servers, self._settings, topic))
            self._partitions[topic] = facts.partitions
        return self._partitions[topic]

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        if not records:
            return
        partitions = await self.partitions(topic)
        placed: defaultdict[int, list[Record]] = defaultdict(list)
        for record in records:
            placed[partition_of(record.key, partitions)].append(record)
        await self._appender.append(topic, placed, sum(len(record.value) for record in records))

    async def append_everywhere(self, topic: str, record: Record) -> None:
        partitions = await self.partitions(topic)
        await self._appender.append(topic, {n: [record] for n in range(partitions)}, partitions * len(record.value))

    async def fetch(self, topic: str, positions: Mapping[int, int], max_records: int) -> list[Batch]:
        if not positions:
            return []
        await self.partitions(topic)
        self._positions[topic] |= positions
        key = (topic, frozenset(positions))
        if key not in self._readers:
            self._readers[key] = KafkaReader(self._servers, self._settings, self._metrics, *key)
            while len(self._readers) > MAX_READERS:
                await self._readers.popitem(last=False)[1].close()
        self._readers.move_to_end(key)
        return await self._readers[key].fetch(positions, max_records)

    async def wait(self, topic: str, timeout_s: float, reader: str = "") -> None:
        event = self._arrived[topic].setdefault(reader, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not await self._has_more(topic, reader):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(event.wait(), LOOK_S)
                    event.clear()

    async def _has_more(self, topic: str, reader: str) -> bool:
        """Whether the ends have moved since this reader last heard that they had."""
        try:
            ends = await self._shared(f"ends {topic}", lambda: self.ends(topic))
        except BusUnavailable:
            await asyncio.sleep(1)
            return False
        seen = self._seen.get((topic, reader))
        self._seen[topic, reader] = ends
        return ends != seen

    def _shared(self, what: str, ask: Callable[[], Coroutine[Any, Any, _Answer]]) -> asyncio.Future[_Answer]:
        """The answer to the question that is under way, else to a new one. Who stops waiting leaves it be: cut off, it would
        leave a connection.
        """
        task = self._asking.get(what)
        if task is None or task.done():
            task = self._asking[what] = asyncio.create_task(ask(), name=f"bus {what}")
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # perhaps nobody waits any more
        return asyncio.shield(task)

    def _tell_readers(self, topic: str) -> None:
        for event in self._arrived[topic].values():
            event.set()

    async def join(self, topic: str, role: str, member: str) -> Membership:
        await self.partitions(topic)
        place, pulse = (topic, role, member), self._metrics.loops.begin("membership")
        membership = KafkaMembership(self._servers, self._settings, place, lambda: self._positions.get(topic, {}), pulse)
        self._members.append(membership)
        return membership

    async def ends(self, topic: str) -> dict[int, int]:
        partitions = await self.partitions(topic)
        places = [TopicPartition(topic, number) for number in range(partitions)]
        try:
            ends = await (await self._look()).end_offsets(places)
        except DRIVER_ERRORS as error:
            await self._drop_looker()
            raise BusUnavailable(await why_not(self._servers, self._settings) or line_of(error)) from error
        return {place.partition: end for place, end in ends.items()}

    async def _look(self) -> Any:  # noqa: ANN401 - aiokafka has no types
        """A consumer that reads nothing and asks where topics end."""
        async with self._looking:
            if self._looker is None:
                looker = open_consumer(self._servers, self._settings)
                await start_consumer(looker)
                self._looker = looker
            return self._looker

    async def _drop_looker(self) -> None:
        looker, self._looker = self._looker, None
        if looker is not None:
            await stop_consumer(looker)

    async def trim(self, topic: str, before: datetime) -> int:
        """Nothing: Kafka forgets by the topic's own retention (`retention.ms`), whoever has read what."""
        return 0

    async def close(self) -> None:
        """Leave groups, send what waits, disconnect: all at once, so that a stop takes seconds where Kafka is away."""
        if self._asking:
            await asyncio.wait(self._asking.values(), timeout=CLOSE_TIMEOUT_S)
        await asyncio.gather(
            *(member.leave() for member in self._members),
            self._appender.close(),
            *(reader.close() for reader in self._readers.values()),
            self._drop_looker(),
        )


@asynccontextmanager
async def open_kafka_bus(servers: str, settings: KafkaSettings, metrics: Metrics) -> AsyncIterator[KafkaBus]:
    """A bus on these servers (`host:port,host:port`). Connects when it is first used."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it says of lost connections we say ourselves, once
    bus = KafkaBus(servers, settings, metrics)
    try:
        yield bus
    finally:
        await bus.close()
