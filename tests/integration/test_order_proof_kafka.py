"""The same over Kafka: any order, repeats, batches and crashes of workers give the state of one plain pass on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_order_proof import CITIES, plainly, stories, told

from citybrain.bus.kafka import KafkaBus, open_kafka_bus
from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.bus.port import Batch, Record
from citybrain.telemetry import Metrics
from happenings import ZONES, happenings
from postgres import Databases

EXAMPLES = 8


class OnItsOwnTopic:
    """A Kafka bus on which every topic is one of this example's own."""

    def __init__(self, bus: KafkaBus) -> None:
        self._bus, self._topic = bus, f"order-{uuid4().hex}"

    async def partitions(self, topic: str) -> int:
        return await self._bus.partitions(self._topic)

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        await self._bus.append(self._topic, records)

    async def append_everywhere(self, topic: str, record: Record) -> None:
        await self._bus.append_everywhere(self._topic, record)

    async def fetch(self, topic: str, positions: Mapping[int, int], max_records: int) -> list[Batch]:
        """To the end: a story's step finds what was posted before it."""
        ends = await self._bus.ends(self._topic)
        found: list[Batch] = []
        while not found and any(positions[number] < ends[number] for number in positions):
            found = await self._bus.fetch(self._topic, positions, max_records)
        return found


@pytest.mark.long
@pytest.mark.cluster
@pytest.mark.timeout(300)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
async def test_any_order_any_batches_and_any_crash_give_the_same_state_over_kafka(
    databases: Databases, kafka_servers: str, data: st.DataObject
) -> None:
    zone = data.draw(st.sampled_from(ZONES))
    events = data.draw(happenings())
    story = data.draw(stories(events))
    first = await plainly(databases, CITIES[zone], events)
    kafka = KafkaSettings(partitions=story.partitions, replication=1, single_replica=True)
    async with open_kafka_bus(kafka_servers, kafka, Metrics()) as bus:
        second, figures = await told(databases, CITIES[zone], events, story, OnItsOwnTopic(bus))
    assert second == first
    posted = sum(map(len, story.posts))
    assert figures == (posted, len(events), posted - len(events), 0, 0)
