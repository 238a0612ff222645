"""The demo against a city of real sockets: history, then life, in order and never in the future."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from rich.console import Console
from stub_city import KEY, eventually, stub_city

from citybrain.client.errors import PostRefused
from citybrain.client.http import Patience, city_client
from citybrain.demo.desks import open_desks
from citybrain.demo.play import play
from citybrain.demo.receiver import Receiver, listening

CITY = Path(__file__).parents[2] / "deploy" / "city"


@pytest.mark.parametrize("terminal", [True, False])
async def test_history_then_life_then_what_to_open(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("citybrain.demo.play.LINE_EVERY_S", 0.2)
    out = io.StringIO()
    late: list[str] = []
    async with stub_city() as city:

        async def no_future(_: web.Request) -> None:
            now = datetime.now(UTC)
            late.extend(one["time"] for one in city.kept[-1000:] if datetime.fromisoformat(one["time"]) > now)

        city.trouble = no_future
        playing = asyncio.create_task(play(city.url, KEY, CITY, console=Console(file=out, force_terminal=terminal, width=150)))
        await eventually(lambda: "Open next" in out.getvalue(), 25)
        before = len(city.kept)
        await eventually(lambda: len(city.kept) > before + 8 and "live" in out.getvalue())
        assert not playing.done()
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
    assert before > 25_000
    assert not late
    assert f"{city.url}/docs" in out.getvalue()
    assert {one["name"] for one in city.receivers} >= {"traffic-duty", "water-duty", "demo-desk"}
    assert {one["default"] for one in city.receivers if one["name"] != "demo-desk"} == {False}
    assert len({one["id"] for one in city.kept[before:]}) == len(city.kept) - before


async def test_a_refused_key_ends_the_demo_with_its_reason() -> None:
    async with stub_city() as city:
        with pytest.raises(PostRefused, match="401"):
            await play(city.url, "another-key", CITY, console=Console(file=io.StringIO()))


async def test_a_second_demo_moves_its_own_desks_and_leaves_what_is_somebody_s_own() -> None:
    receiver, moved = (Receiver(lambda _webhook, _endpoint: None, lambda: None) for _ in range(2))
    async with stub_city() as city, city_client(city.url, KEY, Patience()) as client:
        own = {"id": "0", "name": "water-duty", "made_by": "api", "url": "https://duty.example.org/demo/"}
        city.receivers.append(own | {"secret": "kept"})
        for one in (receiver, moved):
            async with listening(one):
                await open_desks(client, ["traffic-duty", "water-duty"], one)
    assert [one["name"] for one in city.receivers] == ["water-duty", "traffic-duty", "demo-desk"]
    assert city.receivers[0] == own | {"secret": "kept"}
    assert [one["url"] for one in city.receivers[1:]] == [moved.url("traffic-duty"), moved.url("demo-desk")]
    assert {one["secret"] for one in city.receivers[1:]} == {moved.secret}
