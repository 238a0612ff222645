"""The bus in PostgreSQL: what `citybrain up` uses. Keeps the promises of `port.py` with two tables.

Appends that arrive while a commit is under way wait together and share the next one. The waiting line is bounded in bytes;
beyond that `append` raises BusFull at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from typing import NamedTuple

from citybrain.bus.members import PostgresMembership
from citybrain.bus.port import Batch, BusFull, BusUnavailable, Membership, Record, partition_of
from citybrain.bus.segment import pack, unpack
from citybrain.store.pool import DatabaseUnavailable, Pool, PoolConnection, translated
from citybrain.store.queries import load
from citybrain.telemetry import Metrics

_SQL = load("bus")
_CHANNEL = "citybrain_bus"
COMMIT_TIMEOUT_S = 10
MAX_WAITING_BYTES = 64 << 20
MAX_COMMIT_RECORDS = 20_000
_THREAD_ABOVE_RECORDS = 200  # smaller segments are packed faster than a thread is reached


class _Waiting(NamedTuple):
    topic: str
    by_partition: Mapping[int, Sequence[Record]]
    size_bytes: int
    done: asyncio.Future[None]


class PostgresBus:
    """See `citybrain.bus.port.Bus`. Make it with `open_postgres_bus`."""

    def __init__(self, pool: Pool, metrics: Metrics, partitions: int) -> None:
        self._pool = pool
        self._metrics = metrics
        self._new_topic_partitions = partitions
        self._partitions: dict[str, int] = {}
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._flusher: asyncio.Task[None] | None = None
        self._arrived: defaultdict[str, dict[str, asyncio.Event]] = defaultdict(dict)  # by topic and reader
        self._listener: PoolConnection | None = None
        self._writer: PoolConnection | None = None
        self._members: list[PostgresMembership] = []

    async def partitions(self, topic: str) -> int:
        if topic not in self._partitions:
            with _bus_errors():
                await self._pool.execute(_SQL["make_topic"], topic, self._new_topic_partitions)
            self._partitions[topic] = len(await self.ends(topic))
        return self._partitions[topic]

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        if not records:
            return
        partitions = await self.partitions(topic)
        placed: defaultdict[int, list[Record]] = defaultdict(list)
        for record in records:
            placed[partition_of(record.key, partitions)].append(record)
        await self._append(topic, placed, sum(len(record.value) for record in records))

    async def append_everywhere(self, topic: str, record: Record) -> None:
        partitions = await self.partitions(topic)
        await self._append(topic, {n: [record] for n in range(partitions)}, partitions * len(record.value))

    async def _append(self, topic: str, placed: Mapping[int, Sequence[Record]], size_bytes: int) -> None:
        if self._waiting and self._waiting_bytes + size_bytes > MAX_WAITING_BYTES:
            raise BusFull("too many events are waiting to be written: try again in a second")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(topic, placed, size_bytes, done))
        self._waiting_bytes += size_bytes
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_all(), name="bus flush")
        await done

    async def _flush_all(self) -> None:
        """Commit what waits, in the order of arrival, until nothing does."""
        while self._waiting:
            together = self._take()
            try:
                await self._commit(together)
            except BusUnavailable as error:
                _finish(together, error)
            except BaseException:
                _finish(together, BusUnavailable("the append was interrupted"))
                raise
            else:
                _finish(together, None)
                self._tell_readers(together[0].topic)

    def _take(self) -> list[_Waiting]:
        """The longest run of one topic from the front that fits a commit."""
        taken: list[_Waiting] = []
        records = 0
        for one in self._waiting:
            records += sum(map(len, one.by_partition.values()))
            if taken and (one.topic != taken[0].topic or records > MAX_COMMIT_RECORDS):
                break
            taken.append(one)
        del self._waiting[: len(taken)]
        self._waiting_bytes -= sum(one.size_bytes for one in taken)
        return taken

    async def _commit(self, together: list[_Waiting]) -> None:
        begun = time.monotonic()
        placed: defaultdict[int, list[Record]] = defaultdict(list)
        for one in together:
            for partition, records in one.by_partition.items():
                placed[partition] += records
        numbers = sorted(placed)
        total = sum(len(placed[n]) for n in numbers)
        payloads = (
            await asyncio.to_thread(_pack_all, [placed[n] for n in numbers])
            if total > _THREAD_ABOVE_RECORDS
            else _pack_all(placed[n] for n in numbers)
        )
        count = await self._write(together[0].topic, numbers, [len(placed[n]) for n in numbers], payloads)
        if count != len(numbers):
            raise BusUnavailable(f"topic {together[0].topic} has lost its partitions")
        self._metrics.bus_append_seconds.observe(time.monotonic() - begun)
        self._metrics.bus_append_records.observe(total)

    async def _write(self, *arguments: object) -> int:
        """One statement, which is one transaction, on a connection of our own: the pool's would cost one more round trip."""
        try:
            with _bus_errors():
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    if self._writer is None:
                        self._writer = await self._pool.acquire()
                    return int(await self._writer.fetchval(_SQL["append"], *arguments))
        except BaseException:
            await self._drop_writer()
            raise

    async def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(DatabaseUnavailable), translated():
                await self._pool.release(writer, timeout=1)

    async def fetch(self, topic: str, positions: Mapping[int, int], max_records: int) -> list[Batch]:
        if not positions:
            return []
        numbers = sorted(positions)
        each = max(1, max_records // len(numbers))
        with _bus_errors():
            rows = await self._pool.fetch(_SQL["fetch"], topic, numbers, [positions[n] for n in numbers], each)
        return await asyncio.to_thread(_unpack_all, [tuple(row) for row in rows], dict(positions)) if rows else []

    async def wait(self, topic: str, timeout_s: float, reader: str = "") -> None:
        readers = self._arrived[topic]
        if reader not in readers:
            readers[reader] = asyncio.Event()
            return  # what arrived before it was known is not told apart
        event = readers[reader]
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._listen()
                await event.wait()
        event.clear()

    async def _listen(self) -> None:
        """Hear of appends by other processes; our own set the event themselves."""
        if self._listener is not None:
            return
        with suppress(DatabaseUnavailable), translated():
            listener = await self._pool.acquire()
            await listener.add_listener(_CHANNEL, self._heard)
            listener.add_termination_listener(self._deaf)
            self._listener = listener

    def _deaf(self, *connection: object) -> None:
        """The listening connection is gone: the next wait takes another."""
        self._listener = None

    def _heard(self, *notification: object) -> None:
        self._tell_readers(str(notification[-1]))

    def _tell_readers(self, topic: str) -> None:
        for event in self._arrived[topic].values():
            event.set()

    async def join(self, topic: str, role: str, member: str) -> Membership:
        membership = PostgresMembership(self._pool, (topic, role, member), await self.partitions(topic))
        await membership.begin()
        self._members.append(membership)
        return membership

    async def ends(self, topic: str) -> dict[int, int]:
        with _bus_errors():
            rows = await self._pool.fetch(_SQL["ends"], topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def trim(self, topic: str, before: datetime) -> int:
        with _bus_errors():
            return int(await self._pool.fetchval(_SQL["trim"], topic, before))

    async def close(self) -> None:
        """Commit what waits, leave, stop listening."""
        await asyncio.gather(*(member.leave() for member in self._members))
        if self._flusher is not None:
            await asyncio.wait([self._flusher], timeout=COMMIT_TIMEOUT_S)
        await self._drop_writer()
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(DatabaseUnavailable), translated():
                listener.remove_termination_listener(self._deaf)
                await listener.remove_listener(_CHANNEL, self._heard)
                await self._pool.release(listener)


@contextmanager
def _bus_errors() -> Iterator[None]:
    try:
        with translated():
            yield
    except DatabaseUnavailable as error:
        raise BusUnavailable(str(error)) from error


@asynccontextmanager
async def open_postgres_bus(pool: Pool, metrics: Metrics, partitions: int) -> AsyncIterator[PostgresBus]:
    """A bus on this pool; new topics get so many partitions."""
    bus = PostgresBus(pool, metrics, partitions)
    try:
        yield bus
    finally:
        await bus.close()


def _pack_all(parts: Iterable[Sequence[Record]]) -> list[bytes]:
    return [pack(records) for records in parts]


def _unpack_all(rows: Sequence[tuple[int, int, bytes]], positions: Mapping[int, int]) -> list[Batch]:
    return [unpack(payload, partition, first, positions[partition]) for partition, first, payload in rows]


def _finish(together: Iterable[_Waiting], error: Exception | None) -> None:
    for one in together:
        if one.done.done():
            continue
        if error is None:
            one.done.set_result(None)
        else:
            one.done.set_exception(error)
