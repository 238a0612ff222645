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

from citybrain.demo.play import play
from citybrain.replay.errors import PostRefused

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
        await eventually(lambda: len(city.kept) > before + 8)
        assert not playing.done()
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
    assert before > 25_000
    assert not late
    assert f"{city.url}/docs" in out.getvalue()
    assert "live" in out.getvalue()
    assert len({one["id"] for one in city.kept[before:]}) == len(city.kept) - before


async def test_a_refused_key_ends_the_demo_with_its_reason() -> None:
    async with stub_city() as city:
        with pytest.raises(PostRefused, match="401"):
            await play(city.url, "another-key", CITY, console=Console(file=io.StringIO()))
