"""What every adapter of the bus has to keep: the sentences of `citybrain/bus/port.py`, one test each.

An adapter's test class inherits BusSuite and gives the fixture `bus`: a bus whose new topics have three partitions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from citybrain.bus.port import Batch, Bus, Record, partition_of

TOPIC = "contract.v1"
PARTITIONS = 3


def numbered(count: int, key: bytes | None = None) -> list[Record]:
    return [Record(key or f"key-{n % 7}".encode(), "test", f"value-{n}".encode()) for n in range(count)]


async def read_all(bus: Bus, positions: dict[int, int] | None = None, max_records: int = 1000) -> dict[int, list[bytes]]:
    """Everything from the positions on, fetch after fetch, checked for gaps."""
    at = positions or dict.fromkeys(range(PARTITIONS), 0)
    found: dict[int, list[bytes]] = {partition: [] for partition in at}
    while batches := await bus.fetch(TOPIC, at, max_records):
        for batch in batches:
            assert batch.first_offset == at[batch.partition], "offsets are dense"
            at[batch.partition] = batch.next_offset
            found[batch.partition] += batch.values
    return found


def values(batches: Sequence[Batch]) -> set[bytes]:
    return {value for batch in batches for value in batch.values}


class BusSuite:
    """The promises."""

    async def test_records_of_a_key_stay_in_order_in_the_partition_of_the_key(self, bus: Bus) -> None:
        for record in numbered(50):
            await bus.append(TOPIC, [record])
        found = await read_all(bus)
        for key in {record.key for record in numbered(50)}:
            mine = [record.value for record in numbered(50) if record.key == key]
            there = found[partition_of(key, PARTITIONS)]
            assert [value for value in there if value in set(mine)] == mine

    async def test_offsets_begin_at_zero_and_are_dense_in_every_partition(self, bus: Bus) -> None:
        for size in (1, 10, 3):
            await bus.append(TOPIC, numbered(size))
        found = await read_all(bus)
        assert await bus.ends(TOPIC) == {partition: len(values) for partition, values in found.items()}
        assert sum(map(len, found.values())) == 14

    async def test_reading_removes_nothing_and_the_same_position_gives_the_same_records(self, bus: Bus) -> None:
        await bus.append(TOPIC, numbered(30))
        assert await read_all(bus) == await read_all(bus)

    async def test_reading_can_begin_in_the_middle_of_what_was_appended_together(self, bus: Bus) -> None:
        await bus.append(TOPIC, numbered(10, key=b"one"))
        partition = partition_of(b"one", PARTITIONS)
        [batch] = await bus.fetch(TOPIC, {partition: 7}, 100)
        assert (batch.first_offset, list(batch.values)) == (7, [b"value-7", b"value-8", b"value-9"])

    async def test_keys_types_and_values_come_back_byte_for_byte(self, bus: Bus) -> None:
        record = Record(bytes(range(256)), "表.type", b"\x00\xff\n" * 10)
        await bus.append(TOPIC, [record])
        [batch] = await bus.fetch(TOPIC, dict.fromkeys(range(PARTITIONS), 0), 10)
        assert Record(batch.keys[0], batch.types[0], batch.values[0]) == record

    async def test_a_fetch_is_bounded_and_goes_on_behind_what_it_gave(self, bus: Bus) -> None:
        for part in range(20):
            await bus.append(TOPIC, numbered(10, key=f"k{part}".encode()))
        first = await bus.fetch(TOPIC, dict.fromkeys(range(PARTITIONS), 0), 30)
        assert 0 < sum(len(batch.values) for batch in first) <= 30 + 10 * PARTITIONS
        assert sum(map(len, (await read_all(bus, max_records=30)).values())) == 200

    async def test_a_record_for_every_partition_is_in_every_partition(self, bus: Bus) -> None:
        await bus.append_everywhere(TOPIC, Record(b"", "heartbeat", b"now"))
        assert await read_all(bus) == {key: [b"now"] for key in range(PARTITIONS)}

    async def test_waiting_ends_soon_after_an_append(self, bus: Bus) -> None:
        await bus.partitions(TOPIC)
        await bus.wait(TOPIC, 0.05)
        begun = time.monotonic()
        waiting = asyncio.create_task(bus.wait(TOPIC, 10))
        await asyncio.sleep(0.05)
        await bus.append(TOPIC, numbered(1))
        await waiting
        assert time.monotonic() - begun < 5

    async def test_every_reader_hears_of_an_append(self, bus: Bus) -> None:
        readers = ("one", "other")
        for reader in readers:
            await bus.wait(TOPIC, 0.05, reader)
        await bus.append(TOPIC, numbered(1))
        begun = time.monotonic()
        for reader in readers:
            await bus.wait(TOPIC, 10, reader)
        assert time.monotonic() - begun < 5

    async def test_waiting_ends_by_its_timeout(self, bus: Bus) -> None:
        begun = time.monotonic()
        await bus.wait(TOPIC, 0.05)
        assert time.monotonic() - begun < 5

    async def test_appends_at_the_same_time_are_all_there_once(self, bus: Bus) -> None:
        parts = [numbered(9, key=f"writer-{n}".encode()) for n in range(40)]
        await asyncio.gather(*(bus.append(TOPIC, part) for part in parts))
        found = await read_all(bus)
        assert sum(map(len, found.values())) == 360

    async def test_appending_nothing_is_nothing(self, bus: Bus) -> None:
        await bus.append(TOPIC, [])
        assert sum((await bus.ends(TOPIC)).values()) == 0
