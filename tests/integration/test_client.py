"""`citybrain.client` against a city of real sockets: nothing lost while it is away, nothing sent twice on purpose."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from stub_city import KEY, StubCity, Trouble, eventually, stub_city

from citybrain.client import BlockingFieldApp, CityUnreachable, ClientError, field_app

OCCUPANCY = {"occupied": 1, "capacity": 2}


async def kept_in_spite_of(trouble: Trouble, spool: Path, count: int) -> int:
    """How many of so many events, put at once and flushed, a city has in the end."""
    async with stub_city() as city:
        city.trouble = trouble
        async with field_app(city.url, KEY, spool, source="/app") as app:
            await app.put([{"type": "parking.occupancy", "data": OCCUPANCY} for _ in range(count)])
            await app.flush()
        return len(city.ids)


async def test_events_reach_the_city_with_what_they_lacked(tmp_path: Path) -> None:
    async with stub_city() as city, field_app(city.url, KEY, tmp_path / "spool", source="/app") as app:
        first = await app.post("parking.occupancy", OCCUPANCY, subject="lot-1")
        others = await app.put([{"type": "parking.occupancy", "data": OCCUPANCY, "subject": "lot-2"} for _ in range(1200)])
        await app.flush()
        assert city.ids == {first, *others}
        assert {one["source"] for one in city.kept} == {"/app"}
        assert city.repeated == 0
        assert app.trouble == ""


async def test_what_was_kept_while_the_city_was_away_is_sent_by_who_opens_the_spool_next(tmp_path: Path) -> None:
    async with field_app("http://127.0.0.1:9", KEY, tmp_path / "spool", source="/app") as app:
        first = await app.post("parking.occupancy", OCCUPANCY, subject="lot-1")
        with pytest.raises(CityUnreachable, match=r"1 events wait after 1 s: cannot connect"):
            await app.flush(1)
    async with stub_city() as city, field_app(city.url, KEY, tmp_path / "spool", source="/app") as app:
        await app.flush()
        assert city.ids == {first}


async def test_a_refused_event_is_kept_with_its_reason_and_holds_up_nobody(tmp_path: Path) -> None:
    async with stub_city() as city, field_app(city.url, KEY, tmp_path / "spool", source="/app") as app:
        await app.put([{"id": str(n), "type": "parking.occupancy", "data": {"occupied": 1 - 2 * (n == 3)}} for n in range(6)])
        await app.flush()
        (refused,) = await app.refused()
        assert (refused.code, refused.field, refused.detail) == ("invalid_field", "data.occupied", "below zero")
        assert b'"id": "3"' in refused.body
        assert city.ids == {"0", "1", "2", "4", "5"}


async def test_a_key_that_is_not_known_keeps_everything_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["citybrain.client.field_app"], "REFUSED_AGAIN_S", 0.1)
    async with stub_city() as city:
        async with field_app(city.url, "another-key-another-key", tmp_path / "spool", source="/app") as app:
            await app.post("parking.occupancy", OCCUPANCY)
            with pytest.raises(CityUnreachable, match="does not know the key"):
                await app.flush(0.5)
        async with field_app(city.url, KEY, tmp_path / "spool", source="/app") as app:
            await app.flush()
        assert len(city.kept) == 1


async def test_a_batch_that_is_too_large_is_cut(tmp_path: Path) -> None:
    async def too_large(request: web.Request) -> web.StreamResponse | None:
        lines = (await request.read()).count(b"\n")
        return web.json_response({"detail": "too large"}, status=413) if lines > 100 else None

    assert await kept_in_spite_of(too_large, tmp_path / "spool", 900) == 900


async def test_a_line_too_slow_for_a_batch_gets_smaller_ones_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["citybrain.client.http"], "REQUEST_TIMEOUT", aiohttp.ClientTimeout(total=0.5))
    monkeypatch.setattr(sys.modules["citybrain.client.field_app"], "QUICK_S", 0.0)  # it never gets any quicker
    posted: list[int] = []

    async def slow(request: web.Request) -> web.StreamResponse | None:
        posted.append((await request.read()).count(b"\n"))
        await asyncio.sleep(0 if posted[-1] <= 125 else 2)
        return None

    assert await kept_in_spite_of(slow, tmp_path / "spool", 600) == 600
    assert posted == [500, 250, 125, 125, 125, 125, 100]


async def test_batches_grow_again_where_posts_are_quick(tmp_path: Path) -> None:
    posted: list[int] = []

    async def breaks_at_first(request: web.Request) -> web.StreamResponse | None:
        posted.append((await request.read()).count(b"\n"))
        if len(posted) <= 3:
            assert request.transport is not None
            request.transport.abort()
        return None

    assert await kept_in_spite_of(breaks_at_first, tmp_path / "spool", 1000) == 1000
    assert posted == [500, 250, 125, 62, 124, 248, 496, 70]


async def test_a_single_event_that_is_too_large_is_set_aside_and_holds_up_nobody(tmp_path: Path) -> None:
    async def too_large(request: web.Request) -> web.StreamResponse | None:
        return web.json_response({"detail": "too large"}, status=413) if len(await request.read()) > 50_000 else None

    async with stub_city() as city:
        city.trouble = too_large
        async with field_app(city.url, KEY, tmp_path / "spool", source="/app") as app:
            await app.put([{"id": str(n), "data": {"note": "x" * (60_000 if n == 3 else 9)}, "type": "x.y"} for n in range(6)])
            await app.flush()
            (refused,) = await app.refused()
            assert (refused.code, b'"id": "3"' in refused.body) == ("too_large", True)
            assert city.ids == {"0", "1", "2", "4", "5"}
            await app.forget([refused])
            assert await app.refused() == []


async def test_an_event_that_no_city_takes_is_refused_when_it_is_put(tmp_path: Path) -> None:
    async with stub_city() as city, field_app(city.url, KEY, tmp_path / "spool", source="/app") as app:
        with pytest.raises(ClientError, match="a city takes 256 KiB at most"):
            await app.put([{"type": "x.y", "data": {}}, {"type": "x.y", "data": {"note": "x" * 300_000}}])
        with pytest.raises(ClientError, match="surrogates not allowed"):
            await app.post("x.y", {}, subject="\ud800")
        await app.post("x.y", {}, subject="lot-1")
        await app.flush()
        assert len(city.kept) == 1


async def test_what_a_city_that_breaks_off_may_have_kept_is_sent_again_unchanged(tmp_path: Path) -> None:
    async def breaks(city: StubCity, request: web.Request) -> web.StreamResponse | None:
        if city.posts % 2:
            assert request.transport is not None
            request.transport.abort()
        return None

    async with stub_city() as city:
        city.trouble = lambda request: breaks(city, request)
        async with field_app(city.url, KEY, tmp_path / "spool", source="/app") as app:
            await app.put([{"type": "parking.occupancy", "data": OCCUPANCY} for _ in range(1000)])
            await app.flush()
        assert len(city.ids) == 1000
        assert len({(one["id"], one["time"]) for one in city.kept}) == 1000


async def test_a_spool_that_cannot_be_written_after_the_answer_is_sent_again_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["citybrain.client.field_app"], "REFUSED_AGAIN_S", 0.1)
    async with stub_city() as city, field_app(city.url, KEY, tmp_path / "spool", source="/app") as app:
        locked = sqlite3.connect(tmp_path / "spool", isolation_level=None)
        app._spool._database.execute("pragma busy_timeout = 50")
        try:
            await app.put([{"type": "parking.occupancy", "data": OCCUPANCY} for _ in range(300)])
            locked.execute("begin immediate")  # the disk does not take anything now
            await eventually(lambda: city.repeated >= 300 and "cannot be written" in app.trouble)
            with pytest.raises(ClientError, match="cannot be written"):
                await app.post("parking.occupancy", OCCUPANCY)
        finally:
            locked.close()
        await app.flush()
        assert (len(city.ids), app.trouble) == (300, "")


async def test_a_spool_that_breaks_while_it_is_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["citybrain.client.field_app"], "REFUSED_AGAIN_S", 0.1)
    async with stub_city() as city, field_app(city.url, KEY, tmp_path / "spool", source="/app") as app:
        await app.post("parking.occupancy", OCCUPANCY)
        await app.flush()
        app._spool._database.execute("drop table waiting")
        with pytest.raises(ClientError, match="cannot be written: no such table"):
            await app.post("parking.occupancy", OCCUPANCY)
        app._wake.set()
        await eventually(lambda: "cannot be read: no such table" in app.trouble)


def test_the_same_without_asyncio(tmp_path: Path) -> None:
    ready, over, found = threading.Event(), threading.Event(), StubCity()

    async def serve() -> None:
        async with stub_city() as city:
            found.url, found.kept = city.url, city.kept
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        with BlockingFieldApp(found.url, KEY, tmp_path / "spool", source="/app") as app:
            one = app.post("parking.occupancy", OCCUPANCY, subject="lot-1")
            app.put([{"type": "parking.occupancy", "data": {"occupied": -1}}])
            app.flush()
            assert [one] == [event["id"] for event in found.kept]
            assert [refused.code for refused in app.refused()] == ["invalid_field"]
            app.forget(app.refused())
            assert app.refused() == []
            assert app.trouble == ""
        wrong = BlockingFieldApp("x", KEY, tmp_path / "other", source="/app")
        with pytest.raises(ClientError, match="is not the address of a city"), wrong:
            pass
    finally:
        over.set()
        thread.join()
