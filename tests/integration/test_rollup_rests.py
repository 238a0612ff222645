"""When rollup lets more gather before its next pass, and when it goes on at once."""

from __future__ import annotations

import pytest

from citybrain.aggregate import rollup
from pipeline import pipeline
from records import GRIDS, minutes_later, occupancy, records, small_city

LOTS = 6


async def test_what_a_full_pass_has_left_is_made_at_once_unless_batches_are_stored_meanwhile(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "MAX_DIRTY", 2)
    async with pipeline(database, small_city()) as city:
        await city.post(records(occupancy(f"{n}", minutes_later(0), n, subject=f"lot-{n}", area=GRIDS[n]) for n in range(LOTS)))
        await city.worker.step()
        assert await city.rollup.step()
        assert city.rollup._rest_s(1.0) == 0.0
        city.rollup.wake.set()
        assert city.rollup._rest_s(1.0) == rollup.LONGEST_REST_S
        city.rollup.wake.clear()
        await city.drain()
        city.rollup.is_behind = lambda: True
        assert city.rollup._rest_s(1.0) == rollup.BACKLOG_REST_S
        assert city.rollup._rest_s(0.1) == pytest.approx(0.1 * rollup.REST_SHARE)


async def test_a_worker_is_behind_while_large_batches_wait(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        city.worker.max_records = LOTS
        await city.post(records(occupancy(f"{n}", minutes_later(0), n, subject=f"lot-{n}", area=GRIDS[n]) for n in range(LOTS)))
        assert not city.worker.is_behind
        await city.worker.step()
        assert city.worker.is_behind
        await city.worker.step()
        assert not city.worker.is_behind
