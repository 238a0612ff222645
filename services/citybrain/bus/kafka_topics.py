"""Topics of Kafka: made with declared partitions, retention, compression and copies, or checked. Called by `kafka.KafkaBus` once
a topic. Never alters a topic that exists.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
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
EVENT_BYTES = 320 << 10  # what ingest may append: an event of 256 KiB, with what is added to it
DEFAULT_RETENTION = timedelta(days=7)
_CONFIGS = ("cleanup.policy", "max.message.bytes", "min.insync.replicas", "retention.ms")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What Kafka says of a topic, whether set for it or for all. Copies are those of the partition with the fewest.

    What Kafka does not let us see is None, and `min_in_sync` 0. A retention of -1 is for ever.
    """

    partitions: int
    copies: int
    min_in_sync: int
    cleanup_policy: str | None = None
    max_message_bytes: int | None = None
    retention_ms: int | None = None


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
    if (risk := retention_risk(facts, settings)) is not None:
        _log.warning("topic_retention_short", extra={"topic": topic, "reason": risk})
    return facts


async def describe_topic(servers: str, settings: KafkaSettings, topic: str) -> TopicFacts | None:
    """What there is now; None when the topic is not there. Raises BusUnavailable."""
    async with _admin(servers, settings) as admin:
        with translated(f"topic {topic}"):
            return await _facts(admin, topic)


def check_topic(topic: str, facts: TopicFacts, settings: KafkaSettings) -> None:
    """Raise SettingsError when it is not what was declared, or would lose accepted events."""
    if faults := "; ".join(_faults(facts, settings)):
        raise SettingsError(f"topic {topic} {faults}")


def retention_risk(facts: TopicFacts, settings: KafkaSettings) -> str | None:
    """What is unsafe about a retention that nobody has declared, and what to do; None when there is nothing."""
    if settings.retention is not None or not _forgets_before(facts, DEFAULT_RETENTION):
        return None
    return (
        f"retention.ms={facts.retention_ms} is less than {_ms(DEFAULT_RETENTION)} (7 days): what aggregate has not read by then"
        " is lost; alter the topic, or say with CITYBRAIN_KAFKA_RETENTION that it is meant"
    )


def _faults(facts: TopicFacts, settings: KafkaSettings) -> Iterator[str]:
    """Each begins with what the topic has."""
    if settings.partitions not in {None, facts.partitions}:
        yield f"has {facts.partitions} partitions, CITYBRAIN_KAFKA_PARTITIONS says {settings.partitions}"
    if not settings.single_replica and (facts.copies < SAFE_REPLICATION or facts.min_in_sync < SAFE_IN_SYNC):
        yield (
            f"has {facts.copies} replicas and min.insync.replicas={facts.min_in_sync}: accepted events need at least"
            f" {SAFE_REPLICATION} and {SAFE_IN_SYNC}; CITYBRAIN_SINGLE_REPLICA=true starts anyway"
        )
    if "compact" in (facts.cleanup_policy or ""):
        yield (
            f"has cleanup.policy={facts.cleanup_policy}: Kafka would keep one event of an asset and lose the others;"
            " alter it to delete"
        )
    needed = max(EVENT_BYTES, settings.batch_bytes)
    if facts.max_message_bytes is not None and facts.max_message_bytes < needed:
        yield (
            f"has max.message.bytes={facts.max_message_bytes}: it has to take an event ({EVENT_BYTES}) and a batch"
            f" (CITYBRAIN_KAFKA_BATCH_BYTES={settings.batch_bytes}); alter it to {needed} or more"
        )
    if settings.retention is not None and _forgets_before(facts, settings.retention):
        yield (
            f"has retention.ms={facts.retention_ms}, CITYBRAIN_KAFKA_RETENTION says {_ms(settings.retention)}:"
            " alter the topic, or what is declared"
        )


def _forgets_before(facts: TopicFacts, age: timedelta) -> bool:
    return facts.retention_ms is not None and 0 <= facts.retention_ms < _ms(age)


def _ms(length: timedelta) -> int:
    return length // timedelta(milliseconds=1)


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
            configs = await _configs_of(admin, topic)
            numbers = {name: int(value) for name, value in configs.items() if name != "cleanup.policy"}
            return TopicFacts(
                len(one["partitions"]),
                copies,
                numbers.get("min.insync.replicas", 0),
                configs.get("cleanup.policy"),
                numbers.get("max.message.bytes"),
                numbers.get("retention.ms"),
            )
    return None


async def _configs_of(admin: Any, topic: str) -> dict[str, str]:  # noqa: ANN401
    """As they hold for this topic, whether set for it or for all. Empty when Kafka does not let us see them."""
    [response] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(_CONFIGS, ""))])
    [(error_code, _, _, _, entries)] = response.resources
    return {entry[0]: entry[1] for entry in entries} if error_code == 0 else {}


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
        "retention.ms": str(_ms(settings.retention or DEFAULT_RETENTION)),
    }


async def _appeared(admin: Any, topic: str) -> TopicFacts | None:  # noqa: ANN401
    """A new topic is known to every broker soon, not at once."""
    for _ in range(APPEAR_TIMEOUT_S * 10):
        if (facts := await _facts(admin, topic)) is not None:
            return facts
        await asyncio.sleep(0.1)
    return None
