"""When the bus is full or gone, posters are told when to come back, and time stands still in the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from citybrain.bus.port import BusFull, BusUnavailable, Record
from citybrain.bus.postgres import PostgresBus
from citybrain.ingest import heartbeat as heartbeats
from citybrain.ingest import http
from citybrain.ingest.heartbeat import beat
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC, HEARTBEAT_TYPE, Heartbeat
from front_door import FrontDoor, front_door
from small_city import occupancy, small_city

CITY = small_city()


@pytest.fixture
async def door(database: str) -> AsyncIterator[FrontDoor]:
    async with front_door(database, CITY) as served:
        yield served


def _fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def append(self: PostgresBus, topic: str, records: Sequence[Record]) -> None:
        raise error

    monkeypatch.setattr(PostgresBus, "append", append)


@pytest.mark.parametrize(("error", "status", "wait_s"), [(BusFull("full"), 429, "1"), (BusUnavailable("gone"), 503, "2")])
async def test_a_bus_that_cannot_take_more_is_told_with_a_time_to_wait(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, wait_s: str
) -> None:
    _fail_with(monkeypatch, error)
    for body, kind in ((occupancy(), "application/json"), (json.dumps(occupancy()).encode(), "application/x-ndjson")):
        answer = await door.post(body, {"Content-Type": kind})
        assert (answer.status, answer.headers["retry-after"], answer.json["status"]) == (status, wait_s, status)
    assert door.metrics.ingest_pressure.labels(str(status))._value.get() == 2
    assert door.metrics.ingest_accepted._value.get() == 0


async def test_too_many_large_bodies_at_once_are_sent_away_and_room_is_given_back(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_HELD_BYTES", 10_000)
    assert (await door.post([occupancy() for _ in range(100)])).status == 429
    assert (await door.post([occupancy() for _ in range(10)])).status == 202
    assert (await door.post(b"{")).status == 400
    assert all([(await door.post([occupancy() for _ in range(30)])).status == 202 for _ in range(5)])


async def test_many_small_posts_at_once_are_all_kept(door: FrontDoor) -> None:
    events = [occupancy() for _ in range(200)]
    answers = await asyncio.gather(*(door.post(event) for event in events))
    assert {answer.status for answer in answers} == {202}
    assert {event["id"] for event in await door.events()} == {event["id"] for event in events}


async def test_other_requests_are_answered_while_a_long_body_is_decided(door: FrontDoor) -> None:
    loop, longest = asyncio.get_running_loop(), 0.0
    async with asyncio.TaskGroup() as group:
        long = group.create_task(door.post([occupancy() for _ in range(5000)]))
        while not long.done():
            before = loop.time()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - before)
    assert long.result().status == 202
    assert longest < 0.2


async def test_heartbeats_reach_every_partition_and_go_on_after_an_outage(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(heartbeats, "PERIOD_S", 0.01)
    monkeypatch.setattr(heartbeats, "RETRY_S", 0.01)
    down = [True]
    whole = PostgresBus.append_everywhere

    async def append_everywhere(self: PostgresBus, topic: str, record: Record) -> None:
        if down[0]:
            raise BusUnavailable("gone")
        await whole(self, topic, record)

    monkeypatch.setattr(PostgresBus, "append_everywhere", append_everywhere)
    metrics = Metrics()
    beating = asyncio.create_task(beat(door.bus, lambda: datetime.now(UTC), "ingest-1", metrics))
    await asyncio.sleep(0.1)
    assert metrics.loops.well_ago_s("heartbeat") is None
    down[0] = False
    async with asyncio.timeout(5):
        while metrics.loops.well_ago_s("heartbeat") is None:
            await asyncio.sleep(0.01)
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    assert [record.message for record in caplog.records if record.name == "citybrain.ingest.heartbeat"] == [
        "heartbeat_failed",
        "heartbeat_resumed",
    ]
    records = await door.records()
    assert {record.type for record in records} == {HEARTBEAT_TYPE}
    assert {Heartbeat.model_validate_json(record.value).ingest for record in records} == {"ingest-1"}
    partitions = await door.bus.partitions(EVENTS_TOPIC)
    for n in range(partitions):
        assert await door.bus.fetch(EVENTS_TOPIC, {n: 0}, 10)
