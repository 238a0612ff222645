"""Reading partitions of a topic from positions that the caller keeps. Used by `kafka.KafkaBus`; knows no groups.

A consumer is bound to a set of partitions and fetches ahead; a call with other positions than it stands at makes it seek.
Whatever goes wrong, the consumer is thrown away, and the next call makes another at the caller's positions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka

from citybrain.bus.kafka_errors import DRIVER_ERRORS, TopicWasReplaced, line_of, why_not
from citybrain.bus.kafka_settings import KafkaSettings, connection_arguments
from citybrain.bus.port import Batch, BusUnavailable
from citybrain.telemetry import Metrics

_log = logging.getLogger(__name__)
REQUEST_TIMEOUT_MS = 5000
FETCH_TIMEOUT_MS, FETCH_TRIES = 500, 10
STOP_TIMEOUT_S = 3
MAX_FETCH_BYTES = 16 << 20
MAX_PARTITION_BYTES = 1 << 20  # a larger record still arrives, alone


def open_consumer(servers: str, settings: KafkaSettings) -> Any:  # noqa: ANN401 - aiokafka has no types
    """A consumer without a group, not started."""
    return AIOKafkaConsumer(
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        fetch_max_bytes=MAX_FETCH_BYTES,
        max_partition_fetch_bytes=MAX_PARTITION_BYTES,
        **connection_arguments(servers, settings),
    )


async def start_consumer(consumer: Any) -> None:  # noqa: ANN401
    """Connect. Who is cancelled meanwhile lets it come to its end first: cut off, aiokafka would leave a connection."""
    starting = asyncio.create_task(consumer.start())
    try:
        await asyncio.shield(starting)
    except BaseException:
        await asyncio.wait([starting], timeout=STOP_TIMEOUT_S)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await stop_consumer(consumer)
        raise


async def stop_consumer(consumer: Any) -> None:  # noqa: ANN401
    """Disconnect within STOP_TIMEOUT_S. In a task of its own, because stop() may raise the cancellation of aiokafka's fetches."""
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait([stopping], timeout=STOP_TIMEOUT_S)
    if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
        stopping.cancel()
        await consumer._client.close()  # noqa: SLF001 - which stop() did not come to


class KafkaReader:
    """One consumer over these partitions."""

    def __init__(self, servers: str, settings: KafkaSettings, metrics: Metrics, topic: str, partitions: frozenset[int]) -> None:
        self._servers = servers
        self._settings = settings
        self._metrics = metrics
        self._topic = topic
        self._places = {number: TopicPartition(topic, number) for number in sorted(partitions)}
        self._consumer: Any = None
        self._next: dict[int, int] = {}  # where the consumer stands
        self._lock = asyncio.Lock()

    async def fetch(self, positions: Mapping[int, int], max_records: int) -> list[Batch]:
        """From these positions on; [] only at the end of every partition. Raises BusUnavailable, TopicWasReplaced."""
        async with self._lock:
            try:
                return await self._fetch(positions, max_records)
            except DRIVER_ERRORS as error:
                await self._drop()
                raise BusUnavailable(await why_not(self._servers, self._settings) or line_of(error)) from error
            except BaseException:
                await self._drop()
                raise

    async def _fetch(self, positions: Mapping[int, int], max_records: int) -> list[Batch]:
        await self._stand_at(positions)
        found = await self._get(positions, 0, max_records)
        if found or not await self._is_behind(positions):
            return found
        for _ in range(FETCH_TRIES):
            if found := await self._get(positions, FETCH_TIMEOUT_MS, max_records):
                return found
        raise TimeoutError

    async def _stand_at(self, positions: Mapping[int, int]) -> None:
        if self._consumer is None:
            consumer = open_consumer(self._servers, self._settings)
            await start_consumer(consumer)
            consumer.assign(list(self._places.values()))
            self._consumer, self._next = consumer, {}
        for number, position in positions.items():
            if self._next.get(number) != position:
                self._consumer.seek(self._places[number], position)
                self._next[number] = position

    async def _get(self, positions: Mapping[int, int], timeout_ms: int, max_records: int) -> list[Batch]:
        while True:
            try:
                fetched = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)
            except kafka.OffsetOutOfRangeError as error:
                for place, position in error.args[0].items():
                    await self._skip_forgotten(place, position)
                timeout_ms = max(timeout_ms, REQUEST_TIMEOUT_MS)
                continue
            batches = [batch for records in fetched.values() for batch in batches_of(records)]
            self._next = dict(positions) | {batch.partition: batch.next_offset for batch in batches}
            return batches + [batch async for batch in self._passed()]

    async def _passed(self) -> AsyncIterator[Batch]:
        """Empty batches that lead past offsets without a record: those that are forgotten, and markers of transactions."""
        for number, position in self._next.items():
            stands = await self._consumer.position(self._places[number])
            if stands > position:
                self._next[number] = stands
                yield Batch(number, stands, (), (), ())

    async def _skip_forgotten(self, place: TopicPartition, position: int) -> None:
        """Go on at the oldest record that there is. Retention was too short for how long nobody read: it is told loudly."""
        start = (await self._consumer.beginning_offsets([place]))[place]
        if position >= start:
            raise TopicWasReplaced(
                f"partition {place.partition} of topic {self._topic} ends before {position}, where its reader stopped: the topic"
                " was made anew or has lost records; give the city a topic that goes on, or a new database"
            )
        lost = start - position
        self._metrics.bus_lost_records.inc(lost)
        _log.error(
            "bus_records_lost", extra={"topic": self._topic, "partition": place.partition, "records": lost, "first": start}
        )
        self._consumer.seek(place, start)

    async def _is_behind(self, positions: Mapping[int, int]) -> bool:
        ends = await self._consumer.end_offsets(list(self._places.values()))
        for number, position in positions.items():
            if position > ends[self._places[number]]:
                await self._skip_forgotten(self._places[number], position)
        return any(self._next[number] < ends[self._places[number]] for number in positions)

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer)

    async def close(self) -> None:
        """Disconnect, after the fetch that is under way."""
        async with self._lock:
            await self._drop()


def batches_of(records: Sequence[Any]) -> list[Batch]:
    """Records of one partition, in order, as batches without gaps: markers of other people's transactions take offsets."""
    parts: list[Batch] = []
    begin = 0
    first = records[0].offset
    if records[-1].offset - first == len(records) - 1:
        return [_batch(records)]
    for n in range(1, len(records) + 1):
        if n == len(records) or records[n].offset != records[n - 1].offset + 1:
            parts.append(_batch(records[begin:n]))
            begin = n
    return parts


def _batch(records: Sequence[Any]) -> Batch:
    kinds: dict[Any, str] = {}
    types: list[str] = []
    for record in records:
        kind = kinds.get(record.headers)
        if kind is None:
            kind = kinds[record.headers] = _type_of(record.headers)
        types.append(kind)
    return Batch(
        records[0].partition,
        records[0].offset,
        [record.key or b"" for record in records],
        types,
        [record.value or b"" for record in records],
    )


def _type_of(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Empty when a stranger wrote the record without one."""
    return next(((value or b"").decode(errors="replace") for name, value in headers if name == "type"), "")
