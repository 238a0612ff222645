"""Topics of Kafka: made with declared partitions, retention, compression and copies, or checked. Called by `kafka.KafkaBus` once
a topic. Never alters a topic that exists.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import errors as kafka
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from citybrain.bus.kafka_errors import DRIVER_ERRORS, line_of, translated, why_not
from citybrain.bus.kafka_settings import SAFE_IN_SYNC, SAFE_REPLICATION, KafkaSettings, connection_arguments
from citybrain.bus.port import BusUnavailable
from citybrain.errors import SettingsError

DEFAULT_PARTITIONS = 12
REQUEST_TIMEOUT_MS = 5000
APPEAR_TIMEOUT_S = 10
MAX_RECORD_BYTES = 4 << 20  # of a new topic; ingest takes far less


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What Kafka says of a topic. Copies are those of the partition with the fewest."""

    partitions: int
    copies: int
    min_in_sync: int


async def ensure_topic(servers: str, settings: KafkaSettings, topic: str) -> TopicFacts:
    """Make the topic when it is not there and that is allowed. Raises SettingsError when it is not as it has to be."""
    async with _admin(servers, settings) as admin:
        with translated(f"topic {topic}"):
            facts = await _facts(admin, topic)
            if facts is None and settings.create_topics:
                await _make(admin, settings, topic)
                facts = await _appeared(admin, topic)
    if facts is None:
        raise SettingsError(
            f"topic {topic} does not exist or cannot be seen by this user, and CITYBRAIN_KAFKA_CREATE_TOPICS is false"
        )
    check_topic(topic, facts, settings)
    return facts


async def describe_topic(servers: str, settings: KafkaSettings, topic: str) -> TopicFacts | None:
    """What there is now; None when the topic is not there. Raises BusUnavailable."""
    async with _admin(servers, settings) as admin:
        with translated(f"topic {topic}"):
            return await _facts(admin, topic)


def check_topic(topic: str, facts: TopicFacts, settings: KafkaSettings) -> None:
    """Raise SettingsError when it has other partitions than declared, or fewer copies than an accepted event needs."""
    if settings.partitions not in {None, facts.partitions}:
        raise SettingsError(
            f"topic {topic} has {facts.partitions} partitions, CITYBRAIN_KAFKA_PARTITIONS says {settings.partitions}"
        )
    if settings.single_replica or (facts.copies >= SAFE_REPLICATION and facts.min_in_sync >= SAFE_IN_SYNC):
        return
    raise SettingsError(
        f"topic {topic} has {facts.copies} replicas and min.insync.replicas={facts.min_in_sync}: accepted events need at least"
        f" {SAFE_REPLICATION} and {SAFE_IN_SYNC}; CITYBRAIN_SINGLE_REPLICA=true starts anyway"
    )


@asynccontextmanager
async def _admin(servers: str, settings: KafkaSettings) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(request_timeout_ms=REQUEST_TIMEOUT_MS, **connection_arguments(servers, settings))
    try:
        try:
            await admin.start()
        except DRIVER_ERRORS as error:
            raise BusUnavailable(await why_not(servers, settings) or line_of(error)) from error
        yield admin
    finally:
        await admin.close()


async def _facts(admin: Any, topic: str) -> TopicFacts | None:  # noqa: ANN401 - aiokafka has no types
    """None when it is not there. Asks for all topics: Kafka may make one that is asked for by name, as it pleases."""
    for one in await admin.describe_topics():
        if one["topic"] == topic and one["error_code"] == 0 and one["partitions"]:
            copies = min(len(partition["replicas"]) for partition in one["partitions"])
            return TopicFacts(len(one["partitions"]), copies, await _min_in_sync(admin, topic))
    return None


async def _min_in_sync(admin: Any, topic: str) -> int:  # noqa: ANN401
    """As it holds for this topic, whether set for it or for all. 0 when Kafka does not let us see it."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"min.insync.replicas": ""})
    [response] = await admin.describe_configs([resource])
    for error_code, _, _, _, entries in response.resources:
        if error_code == 0:
            return next((int(entry[1]) for entry in entries if entry[0] == "min.insync.replicas"), 0)
    return 0


async def _make(admin: Any, settings: KafkaSettings, topic: str) -> None:  # noqa: ANN401
    brokers = len((await admin.describe_cluster())["brokers"])
    copies = min(settings.replication, brokers) if settings.single_replica else settings.replication
    if brokers < copies:
        raise SettingsError(
            f"Kafka has {brokers} brokers, topic {topic} needs {copies} replicas: CITYBRAIN_SINGLE_REPLICA=true does with fewer"
        )
    new = NewTopic(topic, settings.partitions or DEFAULT_PARTITIONS, copies, topic_configs=_configs(settings, copies))
    response = await admin.create_topics([new])
    for _, error_code, *_ in response.topic_errors:
        error = kafka.for_code(error_code)
        if error not in {kafka.NoError, kafka.TopicAlreadyExistsError}:
            raise error


def _configs(settings: KafkaSettings, copies: int) -> Mapping[str, str]:
    return {
        "cleanup.policy": "delete",
        "compression.type": settings.compression,
        "max.message.bytes": str(MAX_RECORD_BYTES),
        "min.insync.replicas": str(min(SAFE_IN_SYNC, copies)),
        "retention.ms": str(int(settings.retention.total_seconds() * 1000)),
    }


async def _appeared(admin: Any, topic: str) -> TopicFacts | None:  # noqa: ANN401
    """A new topic is known to every broker soon, not at once."""
    for _ in range(APPEAR_TIMEOUT_S * 10):
        if (facts := await _facts(admin, topic)) is not None:
            return facts
        await asyncio.sleep(0.1)
    return None
