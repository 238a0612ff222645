"""Storage for years: room made ahead of time, what is old dropped or packed, and a late device that touches only its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import asyncpg
import pytest

from citybrain.aggregate.modes import metric_rows
from citybrain.aggregate.upkeep import Keep, Upkeep
from citybrain.city import City
from citybrain.store import partitions, timescale, upkeep
from citybrain.store.dictionary import put_metrics
from citybrain.store.embedded_server import Server
from citybrain.store.partitions import Partitions, event_stretches
from citybrain_schemas.topics import EVENTS_TOPIC
from pipeline import Pipeline, pipeline
from postgres import TEMPLATE, Databases, cut_by_days, fresh_database
from records import T0, minutes_later, occupancy, records, register, small_city

NOW = T0 + timedelta(days=100)
TABLES = ("metric_window_1m", "metric_window_1h", "metric_window_1d")
KEEP = Keep(timedelta(hours=1), timedelta(days=90), timedelta(days=14))


@pytest.fixture
async def plain(postgres_server: Server) -> AsyncIterator[str]:
    """The dsn of a fresh database on PostgreSQL without TimescaleDB, whatever the others run on."""
    async with fresh_database(Databases(postgres_server.dsn, TEMPLATE)) as dsn:
        yield dsn


def upkeep_of(city: Pipeline, profile: City, now: datetime = NOW) -> Upkeep:
    return Upkeep(city.pool, city.bus, EVENTS_TOPIC, KEEP, lambda: profile, lambda: now)


async def names(city: Pipeline, table: str) -> set[str]:
    query = "select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::text::regclass"
    return {row["name"] for row in await city.pool.fetch(query, table)}


async def test_partitions_are_there_before_anything_falls_into_them(plain: str) -> None:
    profile = small_city()
    async with pipeline(plain, profile) as city:
        await upkeep_of(city, profile, datetime(2026, 11, 30, 23, 59, tzinfo=UTC)).step()
        assert await names(city, "event") == {"event_2026_11", "event_2026_12", "event_2027_01"}
        assert await names(city, "metric_window_1m") == {
            f"metric_window_1m_{month}" for month in ("2026_11", "2026_12", "2027_01")
        }
        for table in ("metric_window_1h", "metric_window_1d"):
            assert await names(city, table) == {f"{table}_2026", f"{table}_2027"}


async def test_a_day_may_begin_in_the_year_before_its_first_minute(database: str) -> None:
    profile = small_city()
    new_year = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    async with pipeline(database, profile) as city:
        await put_metrics(city.pool, metric_rows())
        await city.post(records([occupancy("a", new_year, 4)]))
        await city.beat(new_year + timedelta(days=2))
        await city.drain()
        days = await city.rows("1d", "parking.occupied")
        assert {row["start"] for row in days} == {datetime(2025, 12, 31, 16, tzinfo=UTC)}


async def test_a_reader_holds_up_a_drop_for_five_seconds_at_most_and_nothing_is_lost(
    plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "DROP_LOCK_TIMEOUT", "100ms")
    async with pipeline(plain, small_city()) as city, city.pool.acquire() as other, city.pool.acquire() as connection:
        await city.post(records([occupancy("a", T0 - timedelta(days=40), 4), occupancy("b", T0, 4)]))
        await city.drain()
        async with other.transaction():
            assert await other.fetchval("select count(*) from event") == 2
            with pytest.raises(asyncpg.LockNotAvailableError):
                await upkeep.forget_events(connection, T0)
            assert await other.fetchval("select count(*) from event") == 2
        assert await upkeep.forget_events(connection, T0) == ["event_2026_01"]
        assert await connection.fetchval("select count(*) from event") == 1


async def test_deliveries_go_some_time_after_their_end_with_their_attempts(database: str) -> None:
    profile = small_city()
    async with pipeline(database, profile) as city:
        made = "insert into delivery (delivery_id, webhook_id, endpoint_id, type, body, state, ended_at) values"
        values = "(gen_random_uuid(), $1, gen_random_uuid(), 'alert.firing', '', $2, $3)"
        for name, state, ended in (
            ("long ago", "delivered", NOW - timedelta(days=91)),
            ("lately", "gave_up", NOW - timedelta(days=89)),
            ("never", "waiting", None),
        ):
            await city.pool.execute(f"{made} {values}", name, state, ended)
        await city.pool.execute("insert into attempt select delivery_id, 1, now(), 5, 200 from delivery")
        await upkeep_of(city, profile).step()
        assert {row["webhook_id"] for row in await city.pool.fetch("select webhook_id from delivery")} == {"lately", "never"}
        assert await city.pool.fetchval("select count(*) from attempt") == 2


async def _windows(city: Pipeline) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    found = {}
    for table in TABLES:
        for row in await city.pool.fetch(f"select * from {table} w join series s on s.series_no = w.series"):
            found[table, row["metric"], row["area"], row["subject"], row["start"]] = tuple(row)
    return found


async def _unpacked(city: Pipeline) -> set[tuple[int, datetime]]:
    """The (series, start) of minutes that are in packed chunks, but not in columns."""
    found: set[tuple[int, datetime]] = set()
    chunks = "select format('%I.%I', chunk_schema, chunk_name) as name from timescaledb_information.chunks where is_compressed"
    for chunk in await city.pool.fetch(f"{chunks} and hypertable_name = 'metric_window_1m'"):
        query = f"select series, start from only {chunk['name']}"
        found |= {(row["series"], row["start"]) for row in await city.pool.fetch(query)}
    return found


async def test_a_device_ninety_days_late_rewrites_only_its_own_buckets(database: str) -> None:
    """On TimescaleDB the buckets are in packed chunks: only batches of its own series are opened."""
    profile = small_city()
    await cut_by_days(database)
    async with pipeline(database, profile) as city:
        await put_metrics(city.pool, metric_rows())
        lots = ("lot-1", "lot-2", "lot-3")
        await city.post(records([
            *(occupancy(f"{lot} {n}", minutes_later(n), n % 10, subject=lot) for n in range(120) for lot in lots),
            *(register(f"m {n}", minutes_later(10 * n), 100 + n) for n in range(12)),
        ]))  # fmt: skip
        await city.beat(NOW)
        await city.drain()
        packed = await upkeep_step_packs(city, profile)
        before = await _windows(city)
        assert before
        late = [minutes_later(n) + timedelta(seconds=30) for n in (7, 8, 65)]
        await city.post(records([occupancy(f"late {at}", at, 9, subject="lot-2") for at in late]))
        await city.drain()
        after = await _windows(city)
        changed = {key for key in after if after[key] != before.get(key)}
        own = {
            (table, metric, area, subject, start)
            for table, starts in zip(TABLES, _starts(late), strict=True)
            for metric in ("parking.occupied", "parking.occupied_ratio")
            for area, subject in [(code, None) for code in _above(before, metric)] + [(_grid(before), "lot-2")]
            for start in starts
        }
        assert changed == own
        assert len(changed) == 2 * (5 + 1) * (3 + 2 + 1) == 72  # metrics, levels and the asset, minutes and hours and the day
        assert after[TABLES[0], "parking.occupied", _grid(before), "lot-2", minutes_later(7)][4] == 2  # both readings
        if packed:
            series = {key[3]: row[0] for key, row in after.items() if key[0] == TABLES[0] and key[1] == "parking.occupied"}
            touched = {row[0] for key, row in after.items() if key in own and key[0] == TABLES[0]}
            opened = {number for number, _ in await _unpacked(city)}
            assert opened <= touched
            assert series["lot-1"] not in opened
            async with city.pool.acquire() as connection:
                assert await timescale.compress(connection, NOW, late=True) != []
            assert await _unpacked(city) == set()
            assert await _windows(city) == after


async def upkeep_step_packs(city: Pipeline, profile: City) -> bool:
    """Whether chunks were packed: those of minutes, hours and events that ended 14 days before."""
    await upkeep_of(city, profile).step()
    if not await city.pool.fetchval("select exists (select from pg_extension where extname = 'timescaledb')"):
        return False
    packed = await city.pool.fetch("select hypertable_name from timescaledb_information.chunks where is_compressed")
    assert {row["hypertable_name"] for row in packed} >= {"event", "metric_window_1m", "metric_window_1h"}
    return True


def _above(windows: dict[tuple[Any, ...], tuple[Any, ...]], metric: str) -> set[str]:
    return {key[2] for key in windows if key[1] == metric and key[3] is None}


def _grid(windows: dict[tuple[Any, ...], tuple[Any, ...]]) -> str:
    return cast("str", next(key[2] for key in windows if key[3] == "lot-2"))


def _starts(moments: list[datetime]) -> list[set[datetime]]:
    minutes = {at.replace(second=0) for at in moments}
    day = datetime(2026, 2, 28, 16, tzinfo=UTC)  # midnight in Shanghai
    assert all(day <= at < day + timedelta(days=1) for at in moments)
    return [minutes, {at.replace(minute=0) for at in minutes}, {day}]


async def test_a_late_pair_in_a_packed_chunk_is_made_anew(database: str) -> None:
    profile = small_city()
    await cut_by_days(database)
    async with pipeline(database, profile) as city:
        await put_metrics(city.pool, metric_rows())
        await city.post(records([register("a", T0, 100), register("c", minutes_later(20), 130)]))
        await city.beat(NOW)
        await city.drain()
        await upkeep_step_packs(city, profile)
        await city.post(records([register("b", minutes_later(10), 110)]))
        await city.drain()
        rows = await city.rows("1m", "water.consumption", leaf=True)
        assert {row["start"]: row["sum"] for row in rows} == {minutes_later(10): Decimal(10), minutes_later(20): Decimal(20)}


async def test_stretches_of_events_follow_the_partitions(database: str) -> None:
    await cut_by_days(database)
    async with pipeline(database, small_city()) as city:
        await city.post(records([occupancy("a", T0 - timedelta(days=40), 1), occupancy("b", T0, 2)]))
        await city.drain()
        async with city.pool.acquire() as connection:
            first, second = await event_stretches(connection)
            assert first.start <= T0 - timedelta(days=40) < first.end <= second.start <= T0 < second.end
            known = Partitions()
            await known.ensure_ahead(connection, T0)
            await known.ensure_ahead(connection, T0)
