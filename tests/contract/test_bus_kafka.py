"""The Kafka bus keeps the port's promises on a real Apache Kafka, and its own: outages, forgotten records, strangers, members."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import bus_suite
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from bus_suite import ALL, PARTITIONS, BusSuite, eventually, numbered, read_all

from citybrain import loops
from citybrain.bus import kafka, kafka_append, kafka_members
from citybrain.bus.kafka import KafkaBus, open_kafka_bus
from citybrain.bus.kafka_errors import RecordTooLarge, TopicWasReplaced
from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.bus.port import BusFull, BusUnavailable, Record, partition_of
from citybrain.errors import SettingsError
from citybrain.telemetry import Metrics
from kafka_server import KafkaServer

SETTINGS = KafkaSettings(single_replica=True, partitions=PARTITIONS, session_timeout_s=6)
START = dict.fromkeys(range(PARTITIONS), 0)
MEMBER = Path(__file__).parent / "bus_member.py"


@pytest.fixture(autouse=True)
def topic(monkeypatch: pytest.MonkeyPatch) -> str:
    """The server outlives a test, so every test has a topic of its own."""
    name = f"contract.{uuid4().hex}"
    monkeypatch.setattr(bus_suite, "TOPIC", name)
    return name


@pytest.fixture
async def bus(kafka_servers: str) -> AsyncIterator[KafkaBus]:
    async with open_kafka_bus(kafka_servers, SETTINGS, Metrics()) as made:
        yield made


class TestKafkaBus(BusSuite):
    """The suite over Apache Kafka."""


async def test_a_reader_hears_of_what_another_process_appends(kafka_servers: str, bus: KafkaBus, topic: str) -> None:
    await bus.wait(topic, 1)
    waiting = asyncio.create_task(bus.wait(topic, 20))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    async with open_kafka_bus(kafka_servers, SETTINGS, Metrics()) as other:
        await other.append(topic, numbered(1))
    async with asyncio.timeout(3):
        await waiting


async def test_too_much_waiting_is_refused_at_once(bus: KafkaBus, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_append, "MAX_WAITING_BYTES", 1000)
    await bus.partitions(topic)
    some = [numbered(1)[0]._replace(value=b"x" * 600)]
    results = await asyncio.gather(*(bus.append(topic, some) for _ in range(6)), return_exceptions=True)
    assert any(isinstance(result, BusFull) for result in results)
    assert results[0] is None


async def test_a_record_that_kafka_does_not_take_fails_alone_and_the_next_append_works(bus: KafkaBus, topic: str) -> None:
    far_too_big = Record(b"key-0", "test", os.urandom(6 << 20))
    results = await asyncio.gather(bus.append(topic, [far_too_big]), bus.append(topic, numbered(7)), return_exceptions=True)
    assert isinstance(results[0], RecordTooLarge)
    for _ in range(3):
        await bus.append(topic, numbered(7))
    assert sum(map(len, (await read_all(bus)).values())) >= 21


async def test_records_of_strangers_are_read_as_they_are(kafka_servers: str, bus: KafkaBus, topic: str) -> None:
    await bus.partitions(topic)
    async with AIOKafkaProducer(bootstrap_servers=kafka_servers) as stranger:
        await stranger.send_and_wait(topic, b"no key, no type", partition=0)
        await stranger.send_and_wait(topic, None, key=b"no value", partition=0, headers=[("other", b"x"), ("type", b"\xff")])
    [batch] = await bus.fetch(topic, {0: 0}, 10)
    assert (list(batch.keys), list(batch.values)) == ([b"", b"no value"], [b"no key, no type", b""])
    assert list(batch.types) == ["", "\ufffd"]


async def test_what_kafka_has_forgotten_is_skipped_loudly(
    kafka_servers: str, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    async with open_kafka_bus(kafka_servers, SETTINGS, metrics) as bus:
        await bus.append(topic, numbered(10, key=b"one"))
        partition = partition_of(b"one", PARTITIONS)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
        await admin.start()
        await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(6)})
        await admin.close()
        with caplog.at_level(logging.ERROR):
            [batch] = await bus.fetch(topic, {partition: 2}, 100)
        assert (batch.first_offset, len(batch.values)) == (6, 4)
        assert [record.message for record in caplog.records] == ["bus_records_lost"]
        assert metrics.registry.get_sample_value("citybrain_bus_lost_records_total") == 4


async def test_who_is_cancelled_while_it_connects_leaves_no_connection(kafka_servers: str, bus: KafkaBus, topic: str) -> None:
    """A connection that is left is a ResourceWarning, which fails the test."""
    await bus.partitions(topic)
    for n in range(40):
        async with open_kafka_bus(kafka_servers, SETTINGS, Metrics()) as other:
            other._partitions[topic] = PARTITIONS
            fetching = asyncio.create_task(other.fetch(topic, START, 10))
            await asyncio.sleep(n / 4_000)
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
    gc.collect()


async def test_a_reader_ahead_of_its_topic_is_told_that_the_topic_is_another(bus: KafkaBus, topic: str) -> None:
    await bus.append(topic, numbered(10, key=b"one"))
    with pytest.raises(TopicWasReplaced, match="made anew"):
        await bus.fetch(topic, {partition_of(b"one", PARTITIONS): 50}, 100)
    assert await bus.fetch(topic, {partition_of(b"one", PARTITIONS): 0}, 100)


async def test_a_topic_that_was_made_anew_with_fewer_partitions_is_told_and_nothing_is_left_unheard(
    kafka_servers: str, bus: KafkaBus, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    everywhere = Record(b"", "test", b"v")
    await bus.append_everywhere(topic, everywhere)
    await make_anew(kafka_servers, topic, 1)
    said = ""
    async with asyncio.timeout(25):
        while "made anew" not in said:
            try:
                await bus.append_everywhere(topic, everywhere)
            except BusUnavailable as error:
                said = str(error)
    assert f"topic {topic} has no partition" in said
    assert "start the process again" in said
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio" or record.message == "bus_append_failed"]
    async with open_kafka_bus(kafka_servers, replace(SETTINGS, partitions=None), Metrics()) as again:
        await again.append_everywhere(topic, everywhere)


async def make_anew(servers: str, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        async with asyncio.timeout(10):
            while (await admin.create_topics([NewTopic(topic, partitions, 1)])).topic_errors[0][1] != 0:
                await asyncio.sleep(0.1)  # it is being deleted
    finally:
        await admin.close()


async def test_an_error_that_nobody_foresaw_is_told_to_who_waits_and_logged_once(
    bus: KafkaBus, topic: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await bus.append(topic, numbered(1))
    with monkeypatch.context() as broken:
        broken.setattr(kafka_append, "_fill", lambda *_: {}["unforeseen"])
        with pytest.raises(BusUnavailable, match="the append failed: KeyError"):
            await bus.append(topic, numbered(1))
    await bus.append(topic, numbered(1))
    gc.collect()
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == ["bus_append_failed"]


@pytest.mark.timeout(90)
async def test_a_killed_broker_is_told_and_nothing_acknowledged_is_lost(kafka_server: KafkaServer, topic: str) -> None:
    """Appends and a reader go on through `kill -9` and a start on the same folder."""
    acknowledged: list[bytes] = []
    refused = 0
    async with open_kafka_bus(kafka_server.servers, SETTINGS, Metrics()) as bus:
        await bus.partitions(topic)
        stop, written = asyncio.Event(), asyncio.Event()

        async def write() -> None:
            nonlocal refused
            n = 0
            while not stop.is_set():
                value = f"{n}".encode()
                try:
                    await bus.append(topic, [Record(value, "test", value)])
                except BusUnavailable:
                    refused += 1
                    await asyncio.sleep(0.1)
                else:
                    acknowledged.append(value)
                    n += 1

        writer = asyncio.create_task(write())
        reader = asyncio.create_task(_follow(bus, topic, written, acknowledged))
        await asyncio.sleep(1)
        await asyncio.to_thread(kafka_server.kill)
        await asyncio.sleep(7)
        before = len(acknowledged)
        await asyncio.to_thread(kafka_server.start)
        await eventually(lambda: len(acknowledged) > before + 50)
        stop.set()
        await writer
        written.set()
        seen = await reader
    assert refused > 0
    assert set(acknowledged) <= seen


async def _follow(bus: KafkaBus, topic: str, stop: asyncio.Event, until: list[bytes]) -> set[bytes]:
    """Every value, read from positions of our own, until the writer has stopped and all of its is there."""
    at, seen = dict(START), set[bytes]()
    while not (stop.is_set() and set(until) <= seen):
        try:
            batches = await bus.fetch(topic, at, 1000)
        except BusUnavailable:
            continue
        for batch in batches:
            assert batch.first_offset == at[batch.partition]
            at[batch.partition] = batch.next_offset
            seen.update(batch.values)
        if not batches:
            await bus.wait(topic, 0.2)
    return seen


async def test_a_broker_that_is_away_is_told_within_seconds() -> None:
    async with open_kafka_bus("127.0.0.1:1", SETTINGS, Metrics()) as bus, asyncio.timeout(5):
        with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1:1 refuses connections"):
            await bus.append("any", numbered(1))


async def test_who_asks_at_the_same_time_waits_for_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0

    async def slow(*_: object) -> NoReturn:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(0.05)
        raise BusUnavailable("no answer")

    monkeypatch.setattr(kafka, "ensure_topic", slow)
    async with open_kafka_bus("127.0.0.1:1", SETTINGS, Metrics()) as bus:
        found = await asyncio.gather(*(bus.ends("any") for _ in range(20)), return_exceptions=True)
        assert {type(one) for one in found} == {BusUnavailable}
        assert attempts == 1


async def test_a_topic_with_too_few_copies_is_refused_unless_that_is_allowed(
    kafka_servers: str, bus: KafkaBus, topic: str
) -> None:
    await bus.partitions(topic)
    async with open_kafka_bus(kafka_servers, KafkaSettings(), Metrics()) as strict:
        with pytest.raises(SettingsError, match=r"1 replicas and min\.insync\.replicas=1.*CITYBRAIN_SINGLE_REPLICA"):
            await strict.partitions(topic)
        with pytest.raises(SettingsError, match=r"1 brokers, topic .* needs 3 replicas"):
            await strict.partitions(f"{topic}.new")


async def test_processes_that_make_a_topic_at_once_agree(kafka_servers: str, topic: str) -> None:
    async def make() -> int:
        async with open_kafka_bus(kafka_servers, SETTINGS, Metrics()) as bus:
            return await bus.partitions(topic)

    assert await asyncio.gather(*(make() for _ in range(4))) == [PARTITIONS] * 4


async def test_a_topic_is_checked_where_it_may_not_be_made(kafka_servers: str, bus: KafkaBus, topic: str) -> None:
    await bus.partitions(topic)
    existing = KafkaSettings(single_replica=True, create_topics=False)
    async with open_kafka_bus(kafka_servers, existing, Metrics()) as careful:
        assert await careful.partitions(topic) == PARTITIONS
        with pytest.raises(SettingsError, match="does not exist"):
            await careful.partitions(f"{topic}.other")
    async with open_kafka_bus(kafka_servers, KafkaSettings(single_replica=True, partitions=5), Metrics()) as other:
        with pytest.raises(SettingsError, match="has 3 partitions, CITYBRAIN_KAFKA_PARTITIONS says 5"):
            await other.partitions(topic)


async def test_a_topic_whose_settings_would_lose_events_is_refused(
    kafka_servers: str, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    configs = {"cleanup.policy": "compact", "max.message.bytes": "1000", "retention.ms": "3600000"}
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=configs)])
    await admin.create_topics([NewTopic(f"{topic}.short", PARTITIONS, 1, topic_configs={"retention.ms": "3600000"})])
    await admin.close()
    async with open_kafka_bus(kafka_servers, replace(SETTINGS, retention=timedelta(days=1)), Metrics()) as bus:
        with pytest.raises(
            SettingsError, match=r"policy=compact:.*message\.bytes=1000:.*retention\.ms=3600000, CITYBRAIN"
        ) as told:
            await bus.partitions(topic)
        assert "\n" not in str(told.value)
        with pytest.raises(SettingsError, match="CITYBRAIN_KAFKA_RETENTION says 86400000"):
            await bus.partitions(f"{topic}.short")
    async with open_kafka_bus(kafka_servers, SETTINGS, Metrics()) as bus:
        assert await bus.partitions(f"{topic}.short") == PARTITIONS
    assert "topic_retention_short" in [record.message for record in caplog.records]


async def test_positions_are_shown_to_tools_for_lag(
    kafka_servers: str, bus: KafkaBus, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_members, "COMMIT_EVERY_S", 0.1)
    await bus.append(topic, numbered(9, key=b"one"))
    place = await bus.join(topic, "reader", "one")
    await eventually(lambda: place.current().partitions == ALL)
    partition = partition_of(b"one", PARTITIONS)
    await bus.fetch(topic, {partition: 9}, 10)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    try:
        async with asyncio.timeout(10):
            while (await admin.list_consumer_group_offsets(f"citybrain.reader.{topic}")).get(
                TopicPartition(topic, partition), (0,)
            )[0] != 9:
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def test_a_member_that_kafka_refuses_says_what_to_change_and_works_once_it_is_let_in(
    kafka_servers: str, bus: KafkaBus, topic: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loops, "FAILING_S", 0.1)
    caplog.set_level(logging.WARNING)
    hasty = replace(SETTINGS, session_timeout_s=1)
    async with open_kafka_bus(kafka_servers, hasty, Metrics()) as refused:
        place = await refused.join(topic, "reader", "one")
        await eventually(lambda: "membership fails" in (place.why_not() or ""))
        assert "CITYBRAIN_KAFKA_SESSION_TIMEOUT" in (place.why_not() or "")
        lost = [vars(record)["reason"] for record in caplog.records if record.message == "bus_membership_lost"]
        assert "group.min.session.timeout.ms" in lost[0]
    place = await bus.join(topic, "reader", "one")
    await eventually(lambda: place.current().partitions == ALL and place.why_not() is None)


async def test_a_kafka_that_is_away_is_no_reason_against_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "FAILING_S", 0.1)
    monkeypatch.setattr(kafka_members, "AGAIN_S", 0.05)
    metrics = Metrics()
    pulse = metrics.loops.begin("membership")
    place = kafka_members.KafkaMembership("127.0.0.1:1", SETTINGS, ("any", "reader", "one"), dict, pulse)
    told = metrics.registry.get_sample_value
    await eventually(lambda: (told("citybrain_loop_failures_total", {"loop": "membership"}) or 0) > 4)
    assert place.why_not() is None
    await place.leave()


@contextmanager
def member(servers: str, topic: str, name: str, told: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A member in a process of its own; it writes its partitions to a file, a line a change."""
    with told.open("wb") as lines:
        process = subprocess.Popen([sys.executable, MEMBER, servers, topic, name, "6"], stdout=lines)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


def assigned(told: Path) -> frozenset[int]:
    lines = told.read_text().splitlines()
    return frozenset(json.loads(lines[-1])) if lines else frozenset()


@pytest.mark.timeout(90)
async def test_a_member_killed_and_started_again_moves_nobody(
    kafka_servers: str, bus: KafkaBus, topic: str, tmp_path: Path
) -> None:
    here = await bus.join(topic, "reader", "here")
    await eventually(lambda: here.current().partitions == ALL)
    told = tmp_path / "first"
    with member(kafka_servers, topic, "there", told) as process:
        await eventually(lambda: bool(assigned(told)) and assigned(told) | here.current().partitions == ALL)
        before, theirs = here.current(), assigned(told)
        process.kill()
    again = tmp_path / "again"
    with member(kafka_servers, topic, "there", again):
        await eventually(lambda: assigned(again) == theirs)
        await asyncio.sleep(4)  # longer than a heartbeat: a rebalance would have shown
        assert here.current() == before


@pytest.mark.timeout(90)
async def test_partitions_of_a_member_that_hangs_move_on_and_come_back(
    kafka_servers: str, bus: KafkaBus, topic: str, tmp_path: Path
) -> None:
    here = await bus.join(topic, "reader", "here")
    await eventually(lambda: here.current().partitions == ALL)
    told = tmp_path / "told"
    with member(kafka_servers, topic, "there", told) as process:
        await eventually(lambda: bool(assigned(told)) and not assigned(told) & here.current().partitions)
        number = here.current().number
        process.send_signal(signal.SIGSTOP)
        await eventually(lambda: here.current().partitions == ALL)
        assert here.current().number > number
        assert assigned(told), "it cannot know yet"
        process.send_signal(signal.SIGCONT)
        await eventually(lambda: bool(assigned(told)) and len(assigned(told)) + len(here.current().partitions) == PARTITIONS)
        assert assigned(told) | here.current().partitions == ALL
