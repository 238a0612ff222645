"""Rows that are copied in because they seem to be new: where the guess is wrong, nothing is lost and nothing counted twice."""

from __future__ import annotations

import polars as pl
import pytest

from citybrain.aggregate import newest
from citybrain.aggregate.newest import Newest
from citybrain.bus.port import Record
from citybrain.store import batches
from citybrain.store.pool import Connection
from pipeline import Pipeline, pipeline
from records import CITY, GRIDS, minutes_later, occupancy, records, small_city

LOTS = 30


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "AT_LEAST", 1)


def round_of(n: int, minute: float) -> list[Record]:
    return records(
        occupancy(f"{n}-{lot}", minutes_later(minute), n, subject=f"lot-{lot}", area=GRIDS[lot % 8]) for lot in range(LOTS)
    )


async def counts(city: Pipeline) -> list[int]:
    return [row["count"] for row in await city.rows("1m", "parking.occupied", CITY, leaf=False)]


async def test_what_a_city_at_work_stores_is_copied(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[tuple[str, bool]] = []
    plain = batches._copied

    async def spied(connection: Connection, table: str, shape: batches._Shape, rows: pl.DataFrame) -> bool:
        copied.append((table, await plain(connection, table, shape, rows)))
        return copied[-1][1]

    monkeypatch.setattr(batches, "_copied", spied)
    async with pipeline(database, small_city()) as city:
        for n in range(3):
            await city.post(round_of(n, n))
            await city.worker.step()
    assert copied == [("event_identity", True), ("metric_window_1m", True)] * 3


async def test_rows_of_others_under_the_same_keys_are_added_to(database: str) -> None:
    """The worker is made to believe that minutes are new which are there already."""
    async with pipeline(database, small_city()) as city:
        for n in range(4):
            await city.post(round_of(n, n % 2))
            await city.worker.step()
            guess: Newest = city.worker._newest
            guess._known[guess._known > 0] = 0
        await city.drain()
        assert await city.figures() == (4 * LOTS, 4 * LOTS, 0, 0, 0)
        assert await counts(city) == [2 * LOTS, 2 * LOTS]


async def test_an_identity_among_thousands_that_was_known_is_dropped_alone(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await city.post(round_of(0, 0))
        await city.worker.step()
        await city.post([*round_of(1, 1), round_of(0, 0)[7]])
        await city.worker.step()
        await city.post([*round_of(2, 2), *round_of(1, 1)])
        await city.drain()
        assert await city.figures() == (4 * LOTS + 1, 3 * LOTS, LOTS + 1, 0, 0)
        assert await counts(city) == [LOTS] * 3


async def test_what_a_failed_copy_left_behind_is_no_row(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await city.post(round_of(0, 0))
        await city.worker.step()
        await city.post([*round_of(1, 1), *round_of(0, 0)])
        await city.worker.step()
        assert await city.pool.fetchval("select count(*) from event_identity") == 2 * LOTS
        assert await city.pool.fetchval("select count(*) from event") == 2 * LOTS
        assert await city.pool.fetchval("select count(*) from metric_window_1m where leaf") == 2 * 2 * LOTS
