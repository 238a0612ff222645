"""Aggregate on a Kafka topic with holes: what retention took before it was read, and what transactions leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from citybrain.aggregate.drain import EndsBefore, consume
from citybrain.aggregate.worker import AggregateWorker
from citybrain.bus.kafka import KafkaBus, open_kafka_bus
from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.bus.port import Record
from citybrain.telemetry import Metrics
from pipeline import Pipeline, pipeline
from records import minutes_later, occupancy, records, small_city

pytestmark = [pytest.mark.long, pytest.mark.cluster, pytest.mark.timeout(180)]
PARTITIONS, COUNT = 3, 60
SETTINGS = KafkaSettings(single_replica=True, partitions=PARTITIONS)
POSITIONS = "select partition, next_offset from bus_position where role = 'aggregate' order by 1"


class Desk:
    """A city on a topic of its own."""

    def __init__(self, servers: str, bus: KafkaBus, city: Pipeline, metrics: Metrics) -> None:
        self.servers, self.bus, self.city, self.metrics = servers, bus, city, metrics
        self.topic = f"holes-{uuid4().hex}"

    async def post(self, begin: int = 0) -> None:
        await self.bus.append(self.topic, round_of(begin))

    async def forget(self, before: dict[int, int]) -> None:
        """What Kafka's retention does."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        await admin.delete_records({TopicPartition(self.topic, n): RecordsToDelete(at) for n, at in before.items()})
        await admin.close()

    def worker(self, bus: KafkaBus, **more: Any) -> AggregateWorker:
        return AggregateWorker(self.city.pool, bus, self.topic, small_city, self.metrics, **more)

    async def until_end(self) -> int:
        """In a process of its own: it has fetched nothing yet."""
        async with asyncio.timeout(60), open_kafka_bus(self.servers, SETTINGS, self.metrics) as bus:
            return (await consume(bus, self.topic, partial(self.worker, bus), 2, self.city.rollup)).records

    async def positions(self) -> dict[int, int]:
        return {row["partition"]: row["next_offset"] for row in await self.city.pool.fetch(POSITIONS)}

    def counted(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(f"citybrain_{name}_total") or 0


def round_of(begin: int) -> list[Record]:
    return records(occupancy(f"{n}", minutes_later(n % 30), 1, subject=f"lot-{n % 20}") for n in range(begin, begin + COUNT))


@pytest.fixture
async def desk(kafka_servers: str, database: str) -> AsyncIterator[Desk]:
    metrics = Metrics()
    async with open_kafka_bus(kafka_servers, SETTINGS, metrics) as bus, pipeline(database, small_city()) as city:
        yield Desk(kafka_servers, bus, city, metrics)


async def test_who_finds_its_position_forgotten_goes_on_at_what_there_is(desk: Desk) -> None:
    """One partition lost its beginning, one everything; the third is whole."""
    await desk.post()
    ends = await desk.bus.ends(desk.topic)
    await desk.until_end()
    assert await desk.positions() == ends
    await desk.post(COUNT)
    more = await desk.bus.ends(desk.topic)
    await desk.forget({0: ends[0] + 5, 1: more[1]})
    lost = 5 + more[1] - ends[1]
    await desk.until_end()
    assert await desk.positions() == more
    assert await desk.city.figures() == (2 * COUNT - lost, 2 * COUNT - lost, 0, 0, 0)
    assert desk.counted("bus_lost_records") == lost
    assert desk.counted("aggregate_fenced") == 0
    await desk.post(2 * COUNT)
    await desk.until_end()
    assert (await desk.city.figures())[1] == 3 * COUNT - lost


async def test_a_database_that_begins_late_reads_what_a_topic_still_has(desk: Desk) -> None:
    await desk.post()
    ends = await desk.bus.ends(desk.topic)
    await desk.forget({number: end // 2 for number, end in ends.items()})
    assert await desk.until_end() == COUNT
    assert await desk.positions() == ends
    assert (await desk.city.figures())[1] == sum(end - end // 2 for end in ends.values())


async def test_the_marks_of_transactions_hold_nobody_up(desk: Desk) -> None:
    await desk.bus.partitions(desk.topic)
    for begin in (0, COUNT):
        producer = AIOKafkaProducer(bootstrap_servers=desk.servers, transactional_id=uuid4().hex)
        async with producer, producer.transaction():
            for one in round_of(begin):
                await producer.send_and_wait(desk.topic, one.value, key=one.key, headers=[("type", one.type.encode())])
        await desk.until_end()
        assert await desk.positions() == await desk.bus.ends(desk.topic)
    await desk.post(2 * COUNT)
    await desk.until_end()
    assert (await desk.city.figures())[1] == 3 * COUNT
    assert desk.counted("aggregate_fenced") == 0


async def test_until_end_ends_where_the_topic_ended_though_others_append_and_read_on(desk: Desk) -> None:
    """Whoever reads may be past the end of then by now: that is not a topic that lost records."""

    async def post_on() -> None:
        for n in range(1, 1_000):
            await desk.post(n * COUNT)
            await asyncio.sleep(0.2)

    posting = asyncio.create_task(post_on())
    await desk.post()
    other = asyncio.create_task(desk.worker(desk.bus, name="other").run())
    for _ in range(2):
        await desk.until_end()
    assert not posting.done()
    for task in (posting, other):
        task.cancel()
    await asyncio.wait([posting, other])
    await desk.city.pool.execute("update bus_position set next_offset = next_offset + 1000000 where partition = 1")
    await desk.post()
    with pytest.raises(EndsBefore, match="partition 1 ends at"):
        await desk.until_end()
