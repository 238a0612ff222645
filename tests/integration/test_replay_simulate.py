"""Simulate against a city of real sockets."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from stub_city import KEY, stub_city

from citybrain.replay.errors import ReplayError
from citybrain.simulate.run import SimulateOptions, simulate


async def test_a_past_city_is_posted_at_once_with_its_truth_beside_it(tmp_path: Path) -> None:
    truth = tmp_path / "truth.ndjson"
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    async with stub_city() as city:
        options = SimulateOptions(3, 2.0, 120, seed=5, to=city.url, key=KEY, truth=truth, begin=begin)
        report = await simulate(options, console=Console(file=io.StringIO()))
        assert report.accepted == len(city.kept) > 13_000
        assert report.repeated == city.repeated > 0
        assert {one["area"] for one in city.kept} == {f"61060000100100{n}" for n in range(3)}
    kinds = {json.loads(line)["kind"] for line in truth.read_text("utf-8").splitlines()}
    assert kinds == {"burst_main", "full_lot", "silent_meter", "stuck_sensor", "offline_app"}


async def test_a_city_of_now_is_posted_as_time_passes(tmp_path: Path) -> None:
    async with stub_city() as city:
        begun = datetime.now(UTC)
        options = SimulateOptions(2, 50.0, 0.05, to=city.url, key=KEY, truth=tmp_path / "truth.ndjson")
        await simulate(options, console=Console(file=io.StringIO()))
        lasted_s = (datetime.now(UTC) - begun).total_seconds()
    assert lasted_s > 2
    assert len(city.kept) > 100
    assert all((datetime.fromisoformat(one["time"]) - begun).total_seconds() < lasted_s for one in city.kept)


async def test_wishes_that_cannot_be_met_are_refused(tmp_path: Path) -> None:
    async with stub_city() as city:
        for wishes, said in (
            (SimulateOptions(6, 1, 1, to=city.url, key=KEY, truth=tmp_path / "t"), "only 5 grids"),
            (SimulateOptions(0, 1, 1, to=city.url, key=KEY), "--areas 0"),
            (SimulateOptions(1, 1, 1, to=city.url, key=KEY, truth=tmp_path), "cannot write"),
        ):
            with pytest.raises(ReplayError, match=said):
                await simulate(wishes, console=Console(file=io.StringIO()))
        assert not city.kept
