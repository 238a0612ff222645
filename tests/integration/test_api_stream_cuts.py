"""`GET /v1/stream` with five hundred listeners: each cut anywhere, even within a message; and some that do not read at all."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from test_api_stream import Desk, append_comment, desk

from citybrain.access import Role
from citybrain.api import stream as route
from notifying import LEFT, RIGHT
from records import T0, minutes_later, occupancy, records

LISTENERS, ALERTS, CUTS, SLOW = 500, 120, 4, 20
pytestmark = [pytest.mark.long, pytest.mark.timeout(170)]


@dataclass
class Follower:
    """What somebody has heard over all connections: whole messages, and when each alert was."""

    city: Desk
    query: dict[str, str] = field(default_factory=dict)
    last: str | None = None
    alerts: list[tuple[str, int]] = field(default_factory=list)
    windows: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    at: dict[str, float] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    async def listen(self) -> None:
        """Until the connection is cut by whoever cancels this. What was read of a message that is not whole is forgotten."""
        headers = {"Authorization": f"Bearer {self.city.reading.keys[Role.VIEWER]}"}
        headers |= {"Last-Event-ID": self.last} if self.last else {}
        url = self.city.reading.address + "/v1/stream"
        async with self.city.session.get(url, headers=headers, params=self.query, read_bufsize=1 << 20) as response:
            assert response.status == 200, await response.text()
            rest = b""
            async for piece in response.content.iter_any():
                *whole, rest = (rest + piece).split(b"\n\n")
                for text in whole:
                    self._take(text.decode())

    def _take(self, text: str) -> None:
        said = dict(line.partition(": ")[::2] for line in text.splitlines() if not line.startswith(":"))
        if "id" in said:
            self.last = said["id"]
            self.ids.append(self.last)
        match said.get("event"):
            case "alert":
                subject = text.partition('"subject":"')[2].partition('"')[0]
                self.alerts.append((subject, int(text.rpartition('"entry":{"entry":')[2].partition(",")[0])))
                self.at.setdefault(subject, time.monotonic())
            case "window":
                self.windows.append(said["data"])
            case str() as other:
                self.others.append(f"{other} {said['data']}")


@asynccontextmanager
async def following(city: Desk, **query: str) -> AsyncIterator[Follower]:
    """One that is never cut."""
    one = Follower(city, query)
    task = asyncio.create_task(one.listen())
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow_and_be_cut(one: Follower, dice: random.Random, over: asyncio.Event, wanted: tuple[int, int]) -> None:
    for _ in range(CUTS):
        task = asyncio.create_task(one.listen())
        await asyncio.wait({task}, timeout=dice.uniform(0.05, 4.5))
        task.cancel()  # wherever it is: bytes that are on their way are lost
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(dice.uniform(0, 0.5))
    task = asyncio.create_task(one.listen())
    async with asyncio.timeout(100):
        await over.wait()
        while (len(one.alerts), len(one.windows)) < wanted or len(one.windows) < wanted[1]:
            assert not task.done(), one.others
            await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_five_hundred_that_are_cut_anywhere_miss_nothing_and_hear_nothing_twice(database: str) -> None:
    seed = random.randrange(1 << 32)
    dice, over = random.Random(seed), asyncio.Event()
    async with desk(database) as city, following(city) as whole:
        while not city.reading.pipeline.worker.metrics.stream_listeners._value.get():
            await asyncio.sleep(0.01)
        expected = (ALERTS, ALERTS // 10)
        followers = [Follower(city) for _ in range(LISTENERS)]
        first = await _first_id(city)
        for one in followers:
            one.last = first  # from the beginning, whenever its first connection comes about
        tasks = [asyncio.create_task(_follow_and_be_cut(one, random.Random(dice.random()), over, expected)) for one in followers]
        for n in range(ALERTS):
            await city.fire(1, f"{'x' * dice.randrange(2000)}-{n}")  # messages of many lengths
            if n % 10 == 0:
                await city.reading.pipeline.post(records([occupancy(f"e{n}", minutes_later(n), n)]))
                await city.reading.pipeline.drain()
            await asyncio.sleep(dice.uniform(0.02, 0.15))
        async with asyncio.timeout(30):
            while len(whole.alerts) < ALERTS or len(whole.windows) < expected[1]:
                await asyncio.sleep(0.05)
        over.set()
        await asyncio.gather(*tasks)
        assert len(set(whole.alerts)) == ALERTS
        for one in followers:
            assert one.alerts == whole.alerts, seed
            assert one.windows == whole.windows, seed
            assert len(one.ids) == len(set(one.ids)), seed
            assert one.others == [], seed


async def _first_id(city: Desk) -> str:
    """The id of where the stream stands."""
    heads = await city.alerts.pool.fetchrow("select coalesce(max(stream_no), 0) as alert from stream")
    assert heads is not None
    number = await city.alerts.pool.fetchval("select pass from rollup_state")
    return f"{heads['alert']}.{number}"


async def test_some_that_do_not_read_are_dropped_with_a_reason_and_slow_nobody(
    database: str, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    monkeypatch.setattr(route, "SEND_S", 3.0)
    async with desk(database) as city, AsyncExitStack() as stack:
        others = [await stack.enter_async_context(following(city, area=RIGHT, event="alert")) for _ in range(LISTENERS)]
        metrics = city.reading.pipeline.worker.metrics
        while metrics.stream_listeners._value.get() < LISTENERS:
            await asyncio.sleep(0.05)
        alone = await _seconds_to_hear(city, others, "alone")
        slow = [await stack.enter_async_context(_does_not_read(city)) for _ in range(SLOW)]
        alert = await city.alerts.fire("loud", area=LEFT)
        loud = asyncio.create_task(_be_loud(city, alert))
        beside = await _seconds_to_hear(city, others, "beside")
        await loud
        async with asyncio.timeout(30):
            while metrics.stream_dropped.labels("too slow")._value.get() < len(slow):
                await asyncio.sleep(0.05)
        after = await _seconds_to_hear(city, others, "after")
        told = {name: [f"{value * 1000:.0f} ms" for value in seconds] for name, seconds in
                (("alone", alone), ("beside", beside), ("after", after))}  # fmt: skip
        record_property("seconds_to_hear", told)
        print(f"\n{LISTENERS} listeners hear of an alert after (median, p95), and beside {SLOW} that do not read: {told}")  # noqa: T201
        assert beside[1] < 5 * alone[1] + 1.0, told
        assert all(one.others == [] for one in others), "nobody else was dropped"


async def _seconds_to_hear(city: Desk, others: list[Follower], name: str, count: int = 25) -> tuple[float, float]:
    """Median and 95th percentile of the seconds from commit to each listener, over all of them."""
    begun: dict[str, float] = {}
    for n in range(count):
        await city.alerts.fire(f"{name}-{n}", area=RIGHT)
        begun[f"{name}-{n}"] = time.monotonic()
        await city.publish()
        await asyncio.sleep(0.15)
    async with asyncio.timeout(60):
        while any(len(one.at.keys() & begun.keys()) < count for one in others):
            await asyncio.sleep(0.05)
    waits = [one.at[subject] - at for one in others for subject, at in begun.items()]
    return statistics.median(waits), statistics.quantiles(waits, n=20)[-1]


@asynccontextmanager
async def _does_not_read(city: Desk) -> AsyncIterator[None]:
    """Listens to everything, and takes nothing."""
    host, port = city.reading.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    key = city.reading.keys[Role.VIEWER]
    writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    await reader.readuntil(b"retry: 2000")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        writer.transport.abort()


async def _be_loud(city: Desk, alert: Any) -> None:
    for n in range(60):
        await append_comment(city, alert, f"{n} " + "x" * 100_000)


async def test_an_id_that_is_too_old_or_from_the_future_is_answered_and_the_stream_goes_on(database: str) -> None:
    async with desk(database) as city:
        await city.fire(3, "early")
        await city.alerts.pool.execute("delete from stream where stream_no <= 2")
        await city.reading.pipeline.post(records([occupancy("a", T0, 5)]))
        await city.reading.pipeline.drain()
        for last in ("0.0", "1.0", "99.0", "3.99999", "999999999999999999.999999999999999999"):
            one = Follower(city, last=last)
            task = asyncio.create_task(one.listen())
            try:
                async with asyncio.timeout(10):
                    while not one.others:
                        await asyncio.sleep(0.01)
                    assert one.others[0].startswith("reset "), last
                    assert "read anew" in one.others[0]
                    assert one.alerts == []
                    await city.fire(1, f"live-{last}")
                    while not one.alerts:
                        await asyncio.sleep(0.01)
                assert [subject for subject, _ in one.alerts] == [f"live-{last}-0"]
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(aiohttp.ClientResponseError):
            async with city.session.get(
                city.reading.address + "/v1/stream", headers={"Last-Event-ID": "?"}, raise_for_status=True
            ):
                pass
