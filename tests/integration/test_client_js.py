"""The JavaScript of the page about field apps in Node, against a city of real sockets: both spools, retries, what is refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from stub_city import KEY, StubCity, stub_city

from field_app_page import node, write_app

NOWHERE = "http://127.0.0.1:9"
KINDS = ("file", "browser")
pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]


class App:
    """A program that does one step after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, step: str, value: object = None) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([step, value]).encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(self._process.stdout.readline(), 30))
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["said"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node()
    return write_app(tmp_path_factory.mktemp("field-app"), browser=True)


@asynccontextmanager
async def opened(folder: Path, kind: str, to: str, spool: Path) -> AsyncIterator[App]:
    process = await asyncio.create_subprocess_exec(
        *(node(), "steps.mjs", kind, to, KEY, str(spool)),
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield App(process)
    finally:
        process.kill()
        await process.wait()


def events(count: int, **more: object) -> list[dict[str, Any]]:
    return [
        {"type": "parking.occupancy", "subject": "lot-1", "data": {"occupied": 1, "capacity": 2}, **more} for _ in range(count)
    ]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_put_offline_arrives_once_there_is_a_city_with_the_ids_that_it_had(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    async with stub_city() as city, opened(folder, kind, NOWHERE, tmp_path / "spool") as app:
        ids = await app.ask("put", events(1200))
        with pytest.raises(RuntimeError, match=r"events wait: .*(ECONNREFUSED|bad port|fetch failed)"):
            await app.ask("flush", 300)
        await app.ask("reopen", city.url)
        await app.ask("flush", 20_000)
        assert [one["id"] for one in city.kept] == ids
        assert (len(set(ids)), city.repeated, await app.ask("count"), await app.ask("trouble")) == (1200, 0, 0, "")
        assert {one["source"] for one in city.kept} == {"/js"}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_the_city_refuses_is_kept_aside_and_holds_up_nobody(folder: Path, tmp_path: Path, kind: str) -> None:
    async with stub_city() as city, opened(folder, kind, city.url, tmp_path / "spool") as app:
        await app.ask("put", [*events(2), *events(1, id="bad", data={"occupied": -1}), *events(2)])
        await app.ask("flush", 20_000)
        assert len(city.kept) == 4
        refused = await app.ask("refused")
        if refused is None:
            refused = [json.loads(line) for line in (tmp_path / "spool.refused").read_text().splitlines()]
        assert [(one["code"], one["field"], one["event"]["id"]) for one in refused] == [("invalid_field", "data.occupied", "bad")]


async def test_it_waits_as_long_as_it_is_told_and_sends_the_same_again(folder: Path, tmp_path: Path) -> None:
    asked: list[float] = []
    bodies: list[bytes] = []

    async def busy(city: StubCity, request: web.Request) -> web.StreamResponse | None:
        asked.append(time.monotonic())
        bodies.append(await request.read())
        if city.posts == 1:
            return web.json_response({"detail": "busy"}, status=503, headers={"Retry-After": "2"})
        if city.posts == 2:
            assert request.transport is not None
            request.transport.abort()
        return None

    async with stub_city() as city, opened(folder, "file", city.url, tmp_path / "spool") as app:
        city.trouble = lambda request: busy(city, request)
        await app.ask("put", events(3))
        await app.ask("flush", 20_000)
        assert asked[1] - asked[0] >= 1.9
        assert bodies[0] == bodies[1] == b"".join(bodies[2:])
        assert (len(bodies), len(city.ids)) == (4, 3)


async def test_a_post_that_is_too_large_is_cut(folder: Path, tmp_path: Path) -> None:
    async def too_large(request: web.Request) -> web.StreamResponse | None:
        lines = (await request.read()).count(b"\n")
        return web.json_response({"detail": "too large"}, status=413) if lines > 100 else None

    async with stub_city() as city, opened(folder, "file", city.url, tmp_path / "spool") as app:
        city.trouble = too_large
        await app.ask("put", events(900))
        await app.ask("flush", 25_000)
        assert len(city.ids) == 900


async def test_a_line_that_breaks_off_large_posts_gets_smaller_ones_through(folder: Path, tmp_path: Path) -> None:
    posted: list[int] = []

    async def breaks(request: web.Request) -> web.StreamResponse | None:
        posted.append((await request.read()).count(b"\n"))
        if posted[-1] > 125:
            assert request.transport is not None
            request.transport.abort()
        return None

    async with stub_city() as city, opened(folder, "file", city.url, tmp_path / "spool") as app:
        city.trouble = breaks
        await app.ask("put", events(600))
        await app.ask("flush", 25_000)
        assert len(city.ids) == 600
        assert posted[:3] == [500, 250, 125]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_event_that_is_too_large_by_itself_holds_up_nobody(folder: Path, tmp_path: Path, kind: str) -> None:
    async def too_large(request: web.Request) -> web.StreamResponse | None:
        return web.json_response({"detail": "too large"}, status=413) if len(await request.read()) > 50_000 else None

    async with stub_city() as city, opened(folder, kind, city.url, tmp_path / "spool") as app:
        city.trouble = too_large
        with pytest.raises(RuntimeError, match="an event is too large: a city takes 256 KiB at most"):
            await app.ask("put", [*events(1), *events(1, note="号" * 90_000)])
        await app.ask("put", [*events(2), *events(1, id="large", note="x" * 60_000), *events(2)])
        await app.ask("flush", 20_000)
        refused = await app.ask("refused")
        if refused is None:
            refused = [json.loads(line) for line in (tmp_path / "spool.refused").read_text().splitlines()]
        assert [(one["code"], one["event"]["id"]) for one in refused] == [("too_large", "large")]
        assert len(city.kept) == 4


async def test_a_file_that_was_cut_off_in_a_put_goes_on_and_one_that_is_damaged_is_told(folder: Path, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    async with opened(folder, "file", NOWHERE, spool) as app:
        await app.ask("put", events(5))
    with spool.open("ab") as file:
        file.write(b'{"id": "never acknow')
    async with stub_city() as city:
        async with opened(folder, "file", city.url, spool) as app:
            await app.ask("put", events(1))
            await app.ask("flush", 20_000)
            assert len(city.ids) == 6
        begin = spool.stat().st_size
        async with opened(folder, "file", NOWHERE, spool) as app:
            await app.ask("put", events(1))
        whole = bytearray(spool.read_bytes())
        whole[begin] = 0
        spool.write_bytes(whole)
        async with opened(folder, "file", city.url, spool) as app:
            with pytest.raises(RuntimeError, match=f"the spool is damaged: .*spool at byte {begin}"):
                await app.ask("flush", 500)
        assert spool.read_bytes() == bytes(whole)


async def test_what_was_sent_needs_no_new_file(folder: Path, tmp_path: Path) -> None:
    for name in ("spool.done.new", "spool.refused"):
        (tmp_path / name).mkdir()  # as on a disk that is full
    async with stub_city() as city, opened(folder, "file", city.url, tmp_path / "spool") as app:
        await app.ask("put", [*events(2), *events(1, data={"occupied": -1}), *events(700)])
        await app.ask("flush", 20_000)
        assert (len(city.ids), city.repeated) == (702, 0)
    async with stub_city() as city, opened(folder, "file", city.url, tmp_path / "spool") as app:
        assert await app.ask("count") == 0


async def test_a_spool_that_is_full_says_so_and_one_that_was_sent_begins_anew(folder: Path, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    async with stub_city() as city, opened(folder, "file", city.url, spool) as app:
        for _ in range(12):
            await app.ask("put", events(50, note="x" * 2000))
        await app.ask("flush", 20_000)
        assert spool.stat().st_size < 1 << 20  # 1.3 MB were put: it began anew on the way
        await app.ask("put", events(1))
        await app.ask("flush", 20_000)
        assert (len(city.ids), city.repeated) == (601, 0)
    async with opened(folder, "file", NOWHERE, spool) as app:
        for _ in range(70):
            try:
                await app.ask("put", events(500, note="x" * 2000))
            except RuntimeError as error:
                assert "the spool is full" in str(error)  # noqa: PT017 - what was put before is looked at
                break
        assert await app.ask("count") % 500 == 0
        assert await app.ask("count") > 20_000
