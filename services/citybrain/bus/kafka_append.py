"""Appending to Kafka: many small appends share batches, each returns when every copy in sync has its records.

Appends that arrive while others are under way wait together, bounded in bytes, and go out in the order of arrival. Records
are put into batches here, not by aiokafka's `send`, which makes a future a record. A producer that met any error is thrown away:
after a batch that failed, aiokafka's numbering no longer matches the broker's, and every later batch would be refused.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka

from citybrain.bus.kafka_errors import DRIVER_ERRORS, RecordTooLarge, line_of, why_not
from citybrain.bus.kafka_settings import KafkaSettings, connection_arguments
from citybrain.bus.port import BusFull, BusUnavailable, Record
from citybrain.errors import CitybrainError
from citybrain.telemetry import Metrics

APPEND_TIMEOUT_S = 5
STOP_TIMEOUT_S = 2
MAX_WAITING_BYTES = 64 << 20
MAX_TOGETHER_RECORDS = 20_000
_THREAD_ABOVE_RECORDS = 200
_TYPE = "type"
_log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    topic: str
    by_partition: Mapping[int, Sequence[Record]]
    size_bytes: int
    done: asyncio.Future[None]


@dataclass(slots=True)
class _Filled:
    """A batch of aiokafka, and the appends that have records in it."""

    builder: Any
    owners: list[_Waiting] = field(default_factory=list)


class KafkaAppender:
    """One producer for the process, made when it is first needed and again after every failure. `appended` hears of topics."""

    def __init__(self, servers: str, settings: KafkaSettings, metrics: Metrics, appended: Callable[[str], None]) -> None:
        self._servers = servers
        self._settings = settings
        self._metrics = metrics
        self._appended = appended
        self._producer: Any = None
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._flusher: asyncio.Task[None] | None = None

    async def append(self, topic: str, by_partition: Mapping[int, Sequence[Record]], size_bytes: int) -> None:
        """Durable on return. Raises BusFull, BusUnavailable or RecordTooLarge; some records may be there then."""
        if self._waiting and self._waiting_bytes + size_bytes > MAX_WAITING_BYTES:
            raise BusFull("too many events are waiting to be written: try again in a second")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(topic, by_partition, size_bytes, done))
        self._waiting_bytes += size_bytes
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_all(), name="bus flush")
        await done

    async def _flush_all(self) -> None:
        while self._waiting:
            if self._waiting_bytes < self._settings.batch_bytes:
                await asyncio.sleep(self._settings.linger_ms / 1000)
            together = self._take()
            try:
                await self._send(together)
            except CitybrainError as error:
                await self._drop_producer()
                _finish([*together, *self._take_all()], error)  # what waits would fail alike, each after as long again
            except Exception as error:  # noqa: BLE001 - the task's outermost edge: logged, told to who waits
                _log.exception("bus_append_failed")
                await self._drop_producer()
                _finish([*together, *self._take_all()], BusUnavailable(f"the append failed: {type(error).__name__}"))
            except BaseException:
                _finish([*together, *self._take_all()], BusUnavailable("the append was interrupted"))
                raise

    def _take(self) -> list[_Waiting]:
        """From the front, as many as go out together."""
        taken: list[_Waiting] = []
        records = 0
        for one in self._waiting:
            records += sum(map(len, one.by_partition.values()))
            if taken and records > MAX_TOGETHER_RECORDS:
                break
            taken.append(one)
        del self._waiting[: len(taken)]
        self._waiting_bytes -= sum(one.size_bytes for one in taken)
        return taken

    def _take_all(self) -> list[_Waiting]:
        taken, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return taken

    async def _send(self, together: list[_Waiting]) -> None:
        """Everything to Kafka, and everybody told what became of theirs. Raises BusUnavailable when that is the same for all."""
        begun = time.monotonic()
        total = sum(len(records) for one in together for records in one.by_partition.values())
        try:
            async with asyncio.timeout(APPEND_TIMEOUT_S):
                producer = await self._started()
                fill = (producer.create_batch, together, int(time.time() * 1000))
                filled = await asyncio.to_thread(_fill, *fill) if total > _THREAD_ABOVE_RECORDS else _fill(*fill)
                outcomes = await asyncio.gather(*(_send_in_order(producer, *place, parts) for place, parts in filled.items()))
        except DRIVER_ERRORS as error:
            await self._drop_producer()  # at once: a batch that runs out leaves an error in aiokafka that nobody hears
            raise BusUnavailable(await why_not(self._servers, self._settings) or line_of(error)) from error
        failed = [outcome for one in outcomes for outcome in one if outcome[1] is not None]
        for part, reason in failed:
            _finish(part.owners, _error_of(reason))
        _finish(together, None)
        if failed:
            await self._drop_producer()
        self._metrics.bus_append_seconds.observe(time.monotonic() - begun)
        self._metrics.bus_append_records.observe(total)
        for topic in {one.topic for one in together}:
            self._appended(topic)

    async def _started(self) -> Any:  # noqa: ANN401 - aiokafka has no types
        if self._producer is None:
            producer = AIOKafkaProducer(
                acks="all",
                enable_idempotence=True,
                compression_type=self._settings.compression,
                max_batch_size=self._settings.batch_bytes,
                request_timeout_ms=APPEND_TIMEOUT_S * 1000,
                **connection_arguments(self._servers, self._settings),
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _drop_producer(self) -> None:
        """Stop it without waiting for what it still holds: those appends were answered as failed."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        producer._closed = True  # noqa: SLF001 - its own stop() waits until all is sent, which may be never
        sending = producer._sender.sender_task  # noqa: SLF001
        sending.cancel()
        await asyncio.wait([sending], timeout=STOP_TIMEOUT_S)
        await producer.client.close()

    async def close(self) -> None:
        """Send what waits, then disconnect."""
        if self._flusher is not None and not self._flusher.done():
            await asyncio.wait([self._flusher], timeout=STOP_TIMEOUT_S)
        await self._drop_producer()


def _fill(create: Callable[[], Any], together: Iterable[_Waiting], at_ms: int) -> dict[tuple[str, int], list[_Filled]]:
    """Batches by topic and partition, in the order of the appends."""
    filled: defaultdict[tuple[str, int], list[_Filled]] = defaultdict(list)
    headers: dict[str, list[tuple[str, bytes]]] = {}
    for one in together:
        for partition, records in one.by_partition.items():
            parts = filled[one.topic, partition]
            for key, kind, value in records:
                header = headers.get(kind)
                if header is None:
                    header = headers[kind] = [(_TYPE, kind.encode())]
                if not parts or parts[-1].builder.append(timestamp=at_ms, key=key, value=value, headers=header) is None:
                    parts.append(_Filled(create()))
                    parts[-1].builder.append(timestamp=at_ms, key=key, value=value, headers=header)
                owners = parts[-1].owners
                if not owners or owners[-1] is not one:
                    owners.append(one)
    return filled


async def _send_in_order(producer: Any, topic: str, partition: int, parts: list[_Filled]) -> list[tuple[_Filled, Any]]:  # noqa: ANN401
    """Each batch with its error, or None."""
    try:
        acknowledged = [await producer.send_batch(part.builder, topic, partition=partition) for part in parts]
    except AssertionError as error:  # aiokafka: "Unrecognized partition"
        raise BusUnavailable(
            f"topic {topic} has no partition {partition} any more: it was made anew with fewer than when this process started;"
            " make it as it was, or start the process again"
        ) from error
    results = await asyncio.gather(*acknowledged, return_exceptions=True)
    return [(part, result if isinstance(result, BaseException) else None) for part, result in zip(parts, results, strict=True)]


def _error_of(error: BaseException) -> CitybrainError:
    if isinstance(error, kafka.MessageSizeTooLargeError | kafka.RecordListTooLargeError):
        return RecordTooLarge(line_of(error))
    return BusUnavailable(line_of(error))


def _finish(together: Iterable[_Waiting], error: Exception | None) -> None:
    for one in together:
        if one.done.done():
            continue
        if error is None:
            one.done.set_result(None)
        else:
            one.done.set_exception(error)
