"""`GET /v1/stream`: nothing missed, nothing twice, whoever is cut, slow or gone for long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from citybrain.access import Role
from citybrain.access.keys import KeyWish, create_key
from citybrain.alert.publish import CHANGES_KEPT, Publisher
from citybrain.api import stream as route
from citybrain.api import stream_hub
from citybrain.store import stream
from citybrain.store.alert_log import Entry, append
from citybrain.store.keys import KeyStore
from notifying import BEGIN, LEFT, RIGHT, Notifying, notifying
from reading import Reading, reading
from records import T0, minutes_later, occupancy, records
from small_city import small_city

LISTENERS = 500


@dataclass
class Told:
    """One message."""

    id: str = ""
    event: str = ""
    data: Any = None


@dataclass
class Listener:
    """What one connection is told."""

    found: list[Told] = field(default_factory=list)
    over: bool = False

    async def until(self, count: int, event: str | None = None) -> list[Told]:
        async with asyncio.timeout(20):
            while len(self.of(event)) < count:
                assert not self.over, [one.event for one in self.found]
                await asyncio.sleep(0.01)
        return self.of(event)

    def of(self, event: str | None) -> list[Told]:
        return [one for one in self.found if one.event and event in {None, one.event}]

    async def read(self, response: aiohttp.ClientResponse) -> None:
        one = Told()
        with suppress(aiohttp.ClientError):
            async for raw in response.content:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name == "id":
                    one.id = value
                elif name == "event":
                    one.event = value
                elif name == "data":
                    one.data = json.loads(value)
                elif not name and one.id:
                    self.found.append(one)
                    one = Told()
        self.over = True


@dataclass
class Desk:
    """A city, alerts that the test writes, and who numbers them."""

    reading: Reading
    alerts: Notifying
    publisher: Publisher
    session: aiohttp.ClientSession

    @asynccontextmanager
    async def listen(self, last: str | None = None, key: str | None = None, **query: Any) -> AsyncIterator[Listener]:
        headers = {"Authorization": f"Bearer {key or self.reading.keys[Role.VIEWER]}"} | ({"Last-Event-ID": last} if last else {})
        async with self.session.get(
            self.reading.address + "/v1/stream", headers=headers, params=query, read_bufsize=1 << 20
        ) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            assert await response.content.readline() == b"retry: 2000\n"
            heard = Listener()
            task = asyncio.create_task(heard.read(response))
            try:
                yield heard
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                response.close()

    async def fire(self, count: int = 1, prefix: str = "lot") -> list[UUID]:
        fired = [await self.alerts.fire(f"{prefix}-{n}") for n in range(count)]
        await self.publish()
        return fired

    async def publish(self) -> None:
        while await self.publisher.step():
            pass


@asynccontextmanager
async def desk(dsn: str) -> AsyncIterator[Desk]:
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        reading(dsn, small_city(), BEGIN) as api,
        notifying(dsn, endpoints=()) as alerts,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session,
    ):
        yield Desk(api, alerts, Publisher(alerts.pool, alerts.metrics, lambda: alerts.now), session)


def subjects(told: list[Told]) -> list[str]:
    return [one.data["alert"]["subject"] for one in told]


async def test_alerts_and_windows_are_told_as_they_happen(database: str) -> None:
    async with desk(database) as city, city.listen() as heard:
        (alert,) = await city.fire()
        (told,) = await heard.until(1, "alert")
        assert (told.data["kind"], told.data["alert"]["id"], told.data["entry"]["entry"]) == ("firing", str(alert), 1)
        assert told.data["alert"]["links"]["self"] == f"/v1/alerts/{alert}"
        await city.alerts.end(alert)
        await city.publish()
        assert [one.data["kind"] for one in await heard.until(2, "alert")] == ["firing", "resolved"]
        await city.reading.pipeline.post(records([occupancy("a", minutes_later(3), 5)]))
        await city.reading.pipeline.drain()
        (told,) = (await heard.until(1, "window"))[:1]
        assert told.data["step"] == "1m"
        assert told.data["truncated"] is False
        starts = {(one["metric"], one["start"]) for one in told.data["windows"]}
        assert starts == {(name, "2026-03-01T00:03:00.000000Z") for name in ("parking.occupied", "parking.occupied_ratio")}
        assert len({one.id for one in heard.found}) == len(heard.found)


async def test_a_listener_hears_of_what_it_asked_for(database: str) -> None:
    async with (
        desk(database) as city,
        city.listen(area=RIGHT) as right,
        city.listen(event="window", metric="parking.occupied") as windows,
        city.listen(event="alert") as alerts,
    ):
        await city.alerts.fire("left", area=LEFT)
        await city.alerts.fire("right", area=RIGHT)
        await city.publish()
        await city.reading.pipeline.post(records([occupancy("a", T0, 5)]))
        await city.reading.pipeline.drain()
        assert subjects(await right.until(1, "alert")) == ["right"]
        assert subjects(await alerts.until(2)) == ["left", "right"]
        (told,) = (await windows.until(1))[:1]
        assert {one["metric"] for one in told.data["windows"]} == {"parking.occupied"}
        assert {one.event for one in windows.found} == {"window"}


async def test_pending_is_not_told(database: str) -> None:
    async with desk(database) as city, city.listen() as heard:
        async with city.alerts.pool.acquire() as connection, connection.transaction():
            alert = await city.alerts.fire("one")
            await append(connection, [Entry(alert, BEGIN, "pending"), Entry(alert, BEGIN, "commented", by="ann", comment="hm")])
        await city.publish()
        assert [one.data["kind"] for one in await heard.until(2)] == ["firing", "commented"]


async def test_what_one_pass_found_is_told_by_tick_then_by_scope(database: str) -> None:
    """Whatever ids the alerts were given: they are made by chance."""
    names = [(f"lot-{n}", UUID(int=99 - n)) for n in range(6)]
    async with desk(database) as city, city.listen(event="alert") as heard:
        for subject, alert in names:
            await city.alerts.fire(subject, alert_id=alert)
        await city.publish()
        await heard.until(6)
        later = BEGIN + timedelta(minutes=1)
        ended = [Entry(alert, later, "resolved", tick=later if n % 2 else BEGIN) for n, (_, alert) in enumerate(names)]
        late = Entry(names[1][1], later, "revised", tick=BEGIN)  # it comes after the end in the alert's log, and in the stream
        async with city.alerts.pool.acquire() as connection, connection.transaction():
            await append(connection, [*reversed(ended), late])
        await city.publish()
        told = [(one.data["alert"]["subject"], one.data["kind"]) for one in (await heard.until(13))[6:]]
    assert told == [
        *((f"lot-{n}", "resolved") for n in (0, 2, 4, 1)),
        ("lot-1", "revised"),
        *((f"lot-{n}", "resolved") for n in (3, 5)),
    ]


async def test_a_number_is_given_after_the_commit(database: str) -> None:
    """What is committed late is told late, never left out: a sequence alone would have numbered it before."""
    async with desk(database) as city, city.listen() as heard:
        alert = await city.alerts.fire("early")
        await city.publish()
        await heard.until(1)
        async with city.alerts.pool.acquire() as slow, slow.transaction():
            await append(slow, [Entry(alert, BEGIN, "commented", by="ann", comment="late")])
            await city.fire(3, "quick")
            assert len(await heard.until(4)) == 4
        await city.publish()
        assert [one.data["kind"] for one in await heard.until(5)] == ["firing"] * 4 + ["commented"]


async def test_who_was_away_misses_nothing_whether_this_process_remembers_or_not(database: str) -> None:
    async with desk(database) as city, city.listen():
        async with city.listen() as heard:
            await city.fire(2, "first")
            last = (await heard.until(2))[-1].id
        await city.fire(3, "away")
        async with city.listen(last) as again:  # from the ring, which the other listener keeps
            assert subjects(await again.until(3)) == ["away-0", "away-1", "away-2"]
    async with desk(database) as other:  # another process: from the database
        async with other.listen(last) as again:
            assert subjects(await again.until(3)) == ["away-0", "away-1", "away-2"]
            await other.fire(1, "live")
            assert subjects(await again.until(4)) == ["away-0", "away-1", "away-2", "live-0"]
        async with other.listen() as fresh:
            await other.fire(1, "fresh")
            assert subjects(await fresh.until(1)) == ["fresh-0"]


async def test_more_than_one_read_brings_up_to_date(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_hub, "AT_ONCE", 7)
    async with desk(database) as city:
        async with city.listen() as heard:
            await city.fire(1, "first")
            last = (await heard.until(1))[-1].id
        await city.fire(40, "away")
    async with desk(database) as other, other.listen(last) as again:
        assert subjects(await again.until(40)) == [f"away-{n}" for n in range(40)]


async def test_what_is_no_longer_kept_is_said(database: str) -> None:
    async with desk(database) as city:
        async with city.listen() as heard:
            await city.fire(1, "first")
            last = (await heard.until(1))[-1].id
        await city.fire(3, "away")
        await city.alerts.pool.execute("update stream set at = at - interval '2 days'")
        city.alerts.now = BEGIN + timedelta(days=3650)
        await Publisher(city.alerts.pool, city.alerts.metrics, lambda: city.alerts.now).step()
    async with desk(database) as other, other.listen(last) as again:
        (told,) = await again.until(1)
        assert (told.event, "read anew" in told.data["why"], told.data["lost"]) == ("reset", True, ["alert"])
        await other.fire(1, "live")
        assert subjects((await again.until(2))[1:]) == ["live-0"]


async def test_changed_windows_that_are_forgotten_are_said_and_alerts_are_told_all_the_same(database: str) -> None:
    async with desk(database) as city:
        async with city.listen() as heard:
            await city.fire(1)
            last = (await heard.until(1))[-1].id
        await city.reading.pipeline.post(records([occupancy("a", T0, 5)]))
        await city.reading.pipeline.drain()
        async with city.listen(last) as again:
            assert {one.event for one in await again.until(1)} == {"window"}
        await city.fire(3, "away")
        await city.alerts.pool.execute(
            "insert into change_position (role, partition, batch) select role, partition, max(batch) from change group by 1, 2"
        )
        city.alerts.now = datetime.now(UTC) + CHANGES_KEPT + timedelta(seconds=1)  # what the database goes by
        await Publisher(city.alerts.pool, city.alerts.metrics, lambda: city.alerts.now).step()
        assert await city.alerts.pool.fetchval("select count(*) from change") == 0
    away = ["away-0", "away-1", "away-2"]
    async with desk(database) as other:
        async with other.listen(last) as both:
            told, *rest = await both.until(4)
            assert (told.event, told.data["lost"], subjects(rest)) == ("reset", ["window"], away)
        async with other.listen(told.id) as again:  # cut off behind the reset
            assert subjects(await again.until(3)) == away
        async with other.listen(last, event="alert") as alerts:
            assert subjects(await alerts.until(3)) == away
            await other.fire(1, "live")
            assert subjects((await alerts.until(4))[3:]) == ["live-0"]
        async with other.listen(last, event="window") as windows:
            (told,) = await windows.until(1)
            assert (told.event, told.data["lost"]) == ("reset", ["window"])


async def test_a_process_that_lags_goes_on_behind_what_another_one_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_hub, "EVERY_S", 3.0)
    async with desk(database) as city, city.listen() as heard:
        await city.fire(1, "first")
        await heard.until(1)
        await city.fire(2, "second")
        async with city.alerts.pool.acquire() as connection:
            last = stream_hub.write_id(await stream.heads(connection))  # as any other process says it now
        async with city.listen(last) as again:
            await city.fire(1, "third")
            assert len(heard.found) == 1
            assert subjects(await again.until(1)) == ["third-0"]


async def test_an_id_of_another_city_is_said_and_garbage_refused(database: str) -> None:
    async with desk(database) as city:
        async with city.listen("99999.99999") as heard:
            (told,) = await heard.until(1)
            assert (told.event, told.data["lost"]) == ("reset", ["alert", "window"])
            await city.fire(1)
            assert len(await heard.until(1, "alert")) == 1
        for bad in ("garbage", "1", "1.x", "-1.2", "1.2.3", "9" * 40 + ".1"):
            answer = await city.reading.get("/v1/stream", headers={"Last-Event-ID": bad})
            assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json"), bad
        assert (await city.reading.get("/v1/stream", area="999")).status == 404
        assert (await city.reading.get("/v1/stream", event="odd")).status == 422
        assert (await city.reading.get("/v1/stream", role=None)).status == 401


async def test_five_hundred_listeners_are_cut_and_resume_and_miss_nothing(database: str) -> None:
    async with desk(database) as city:
        total, cuts = 60, 3
        lists: list[list[str]] = [[] for _ in range(LISTENERS)]
        ready = asyncio.Semaphore(0)

        async def follow(n: int) -> None:
            last: str | None = None
            for cut in range(cuts + 1):
                async with city.listen(last) as heard:
                    if cut == 0:
                        ready.release()
                    want = total if cut == cuts else min(total, (cut + 1) * 12 + n % 7)
                    found = await heard.until(max(0, want - len(lists[n])))
                    lists[n] += [one.id for one in found]
                    last = found[-1].id if found else last

        tasks = [asyncio.create_task(follow(n)) for n in range(LISTENERS)]
        async with asyncio.timeout(60):
            for _ in tasks:
                await ready.acquire()
            for n in range(total):
                await city.fire(1, f"wave-{n}")
                await asyncio.sleep(0.05)
            await asyncio.gather(*tasks)
        assert all(len(one) == total for one in lists)
        assert {tuple(one) for one in lists} == {tuple(lists[0])}
        assert len(set(lists[0])) == total


async def test_one_that_does_not_read_is_dropped_and_slows_nobody(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "SEND_S", 1.0)
    async with desk(database) as city, city.listen() as quick:
        host, port = city.reading.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        key = city.reading.keys[Role.VIEWER]
        writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        await reader.readuntil(b"retry: 2000")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        try:
            alert = (await city.fire(1))[0]
            text = "x" * 100_000
            for n in range(100):
                await append_comment(city, alert, f"{n} {text}")
            began = asyncio.get_running_loop().time()
            assert len(await quick.until(101)) == 101
            assert asyncio.get_running_loop().time() - began < 10
            dropped = city.reading.pipeline.worker.metrics.stream_dropped
            async with asyncio.timeout(10):
                while not dropped.labels("too slow")._value.get():
                    await asyncio.sleep(0.05)
        finally:
            writer.transport.abort()


async def append_comment(city: Desk, alert: UUID, text: str) -> None:
    async with city.alerts.pool.acquire() as connection, connection.transaction():
        await append(connection, [Entry(alert, BEGIN, "commented", by="ann", comment=text)])
    await city.publish()


async def test_who_falls_off_the_ring_is_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_hub, "LONGEST_RING", 5)
    monkeypatch.setattr(stream_hub.Hub, "wait", lambda *_: asyncio.sleep(1.5))
    async with desk(database) as city, city.listen() as heard:
        await asyncio.sleep(0.1)
        await city.fire(30)
        told = await heard.until(1, "dropped")
        assert told[0].data["why"].startswith("too slow")
        async with city.listen(told[0].id) as again:  # with the id that it was given, all of it comes
            assert len(await again.until(30, "alert")) == 30


async def test_a_revoked_key_hears_no_more(database: str) -> None:
    async with desk(database) as city:
        made = await create_key(KeyStore(city.alerts.pool), KeyWish(f"gone {uuid4()}", Role.VIEWER), BEGIN)
        async with city.listen(key=made.key) as heard:
            await city.fire(1)
            await heard.until(1)
            await city.alerts.pool.execute("update api_key set revoked_at = now() where name like 'gone %'")
            assert (await heard.until(1, "dropped"))[0].data["why"].startswith("this key is")
