"""What every adapter of the bus has to keep: the sentences of `citybrain/bus/port.py`, one test each.

An adapter's test class inherits BusSuite and gives the fixture `bus`: a bus whose new topics have three partitions.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import pytest

from citybrain.bus.port import Batch, Bus, Membership, Record, partition_of

TOPIC = "contract.v1"
PARTITIONS = 3
ALL = frozenset(range(PARTITIONS))


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


async def eventually(holds: Callable[[], bool], limit_s: float = 25) -> None:
    """Wait until it holds. For what other processes do in their own time."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < limit_s, "it never came to hold"
        await asyncio.sleep(0.02)


def _shared(*members: Membership) -> bool:
    """Whether every partition is one member's, and one's alone."""
    assigned = [member.current().partitions for member in members]
    return frozenset().union(*assigned) == ALL and sum(map(len, assigned)) == PARTITIONS


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

    async def test_a_reader_that_starts_again_gets_the_same_records_at_the_same_offsets(self, bus: Bus) -> None:
        await bus.append(TOPIC, numbered(60))
        first = await bus.fetch(TOPIC, dict.fromkeys(range(PARTITIONS), 0), 1000)
        await bus.append(TOPIC, numbered(5))
        again = await bus.fetch(TOPIC, dict.fromkeys(range(PARTITIONS), 0), 1000)
        for batch in first:
            [same] = [one for one in again if (one.partition, one.first_offset) == (batch.partition, batch.first_offset)]
            assert list(same.values)[: len(batch.values)] == list(batch.values)

    async def test_a_reader_finds_what_came_after_it_was_at_the_end(self, bus: Bus) -> None:
        at = dict.fromkeys(range(PARTITIONS), 0)
        for part in range(3):
            assert await bus.fetch(TOPIC, at, 100) == []
            await bus.append(TOPIC, [Record(b"k", "test", f"{part}".encode())])
            [batch] = await bus.fetch(TOPIC, at, 100)
            assert list(batch.values) == [f"{part}".encode()]
            at[batch.partition] = batch.next_offset

    async def test_big_and_empty_records_come_back_whole(self, bus: Bus) -> None:
        big = Record(b"big", "test", random.Random(5).randbytes(1_500_000))
        odd = [Record(b"", "", b""), Record(b"big", "test", b"{not json"), Record(b"\xff", "test", b"\xff\xfe")]
        await bus.append(TOPIC, [big, *odd])
        found = await bus.fetch(TOPIC, dict.fromkeys(range(PARTITIONS), 0), 100)
        rows = [Record(*row) for batch in found for row in zip(batch.keys, batch.types, batch.values, strict=True)]
        while len(rows) < 4:
            at = dict.fromkeys(range(PARTITIONS), 0) | {batch.partition: batch.next_offset for batch in found}
            found += (more := await bus.fetch(TOPIC, at, 100))
            rows += [Record(*row) for batch in more for row in zip(batch.keys, batch.types, batch.values, strict=True)]
        assert sorted(rows) == sorted([big, *odd])

    @pytest.mark.timeout(60)
    async def test_members_share_every_partition_and_take_over_from_one_that_leaves(self, bus: Bus) -> None:
        one = await bus.join(TOPIC, "reader", "one")
        await eventually(lambda: one.current().partitions == ALL)
        other = await bus.join(TOPIC, "reader", "other")
        await eventually(lambda: _shared(one, other) and bool(other.current().partitions))
        elsewhere = await bus.join(TOPIC, "another role", "one")
        await eventually(lambda: elsewhere.current().partitions == ALL)
        number = one.current().number
        await other.leave()
        assert other.current().partitions == frozenset()
        await eventually(lambda: one.current().partitions == ALL)
        assert one.current().number != number, "every change has a number of its own"
        await one.leave()
        await elsewhere.leave()

    async def test_appending_nothing_is_nothing(self, bus: Bus) -> None:
        await bus.append(TOPIC, [])
        assert sum((await bus.ends(TOPIC)).values()) == 0
