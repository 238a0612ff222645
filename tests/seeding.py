"""Writes the windows of a whole city straight into its tables, so that a year of them is there within minutes.

`seed(dsn, end, days)` takes the shipped profile and the plan of seeded_plan.py. What it writes is what aggregate and rollup
would have: every level is made from the one below by their rules, hours and days from assets' minutes. Used by the tests of
dashboards and, with fewer days, by docs/draw_dashboards.py.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from citybrain.aggregate.modes import MODES, metric_rows
from citybrain.aggregate.shards import sharding
from citybrain.api.steps import Step
from citybrain.city import LEVELS, City
from citybrain.profiles import load, read_city
from citybrain.store.dictionary import Dictionary, Series, put_metrics
from citybrain.store.partitions import Partitions, bounds_of_month, month_of
from citybrain.store.pool import Connection, Pool, open_pool
from seeded_alerts import put_alerts
from seeded_plan import Measured, assets, facilities, measured

PROFILE = Path(__file__).parents[1] / "deploy" / "city"
STRETCH = timedelta(days=10)  # of one statement
SESSIONS = 2
STATEMENT_S = 600
_VACUUMED = ("metric_window_1m", "metric_window_1h, metric_window_1d")
Piece = tuple[datetime, datetime]


def _statements() -> dict[str, str]:
    parts = (Path(__file__).parent / "seeding.sql").read_text("utf-8").split("-- name: ")[1:]
    return {part.partition("\n")[0].strip(): part.partition("\n")[2] for part in parts}


_SQL = _statements()


async def seed(dsn: str, end: datetime, days: int) -> City:
    """Windows of the days before `end`, a whole hour; latest states; alerts and deliveries. The city that it is."""
    files, city = read_city(PROFILE)
    async with open_pool(dsn, max_size=SESSIONS + 1) as pool:
        await load(pool, files, city)
        await put_metrics(pool, metric_rows())
        await _put_plan(pool, city, end)
        begin = end - timedelta(days=days)
        pieces = _within_months(begin, end)
        async with pool.acquire() as connection:
            await Partitions().ensure(connection, {month_of(at) for piece in pieces for at in piece})
            indexes = await _drop_indexes(connection)
        await _each(pool, pieces, _minutes_and_hours)
        await _each(pool, [(*piece, city.settings.zone.key) for piece in _whole_days(city, begin, end)], _days)
        await _each(pool, [(one,) for one in indexes], _tidy)
        await _each(pool, [(f"vacuum (analyze) {names}",) for names in _VACUUMED], _tidy)
        await _finish(pool, city, end)
    return city


def _within_months(begin: datetime, end: datetime) -> list[Piece]:
    """Stretches that cross no month."""
    found: list[Piece] = []
    while begin < end:
        upto = min(end, begin + STRETCH, bounds_of_month(*month_of(begin))[1])
        found.append((begin, upto))
        begin = upto
    return found


def _whole_days(city: City, begin: datetime, end: datetime) -> list[Piece]:
    """Stretches of the city's days that have ended."""
    step = Step("1d", city.settings.zone)
    firsts = list(step.starts(begin, step.floor(end)))[::30]
    return list(zip(firsts, [*firsts[1:], step.floor(end)], strict=True))


async def _put_plan(pool: Pool, city: City, end: datetime) -> None:
    leaves = list(measured(_grids(city)))
    areas = {Series(one.series.metric, code) for one in leaves for code in city.areas.path_at(one.series.area, end)}
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_SQL["tables"])
        numbers = await Dictionary(sharding(lambda: city)).number_series(connection, areas | {one.series for one in leaves})
        await connection.copy_records_to_table("seed_leaf", records=[_leaf(one, numbers, end) for one in leaves])
        rows = []
        for one in areas:
            above = city.areas.parent_at(one.area, end)
            parent = -numbers[one] if above is None else numbers[Series(one.metric, above)]
            rows.append((numbers[one], parent, LEVELS.index(city.areas.level(one.area)), int(MODES[one.metric])))
        await connection.copy_records_to_table("seed_area", records=rows)
        await connection.execute("analyze seed_leaf, seed_area")


def _leaf(one: Measured, numbers: dict[Series, int], end: datetime) -> tuple[object, ...]:
    weight = one.capacity * 1_000_000 if one.series.subject is not None else -1
    quiet = (None, None) if one.quiet is None else (end - one.quiet[0], end - one.quiet[1])
    place = (numbers[one.series], numbers[one.series.of_area], one.every, one.phase)
    most = 1e6 if weight > 0 else 1e12  # no share is greater than 1
    return (*place, one.base, one.swing, one.noise, one.peak_hour, weight, most, *quiet)


def _grids(city: City) -> list[str]:
    return sorted({one.code for one in city.areas.at_level("grid")})


async def _each(pool: Pool, pieces: Sequence[tuple[Any, ...]], work: Callable[..., Awaitable[None]]) -> None:
    """All pieces, some of them at once."""
    waiting = list(reversed(pieces))

    async def worker() -> None:
        async with pool.acquire() as connection:
            await connection.execute("set work_mem = '256MB'")
            while waiting:
                await work(connection, *waiting.pop())

    async with asyncio.TaskGroup() as group:
        for _ in range(SESSIONS):
            group.create_task(worker())


async def _minutes_and_hours(connection: Connection, begin: datetime, end: datetime) -> None:
    await connection.execute(_SQL["minutes"], begin, end, timeout=STATEMENT_S)
    await _up(connection, "metric_window_1m", begin, end)
    await connection.execute(_SQL["hours"], begin, end, timeout=STATEMENT_S)
    await _up(connection, "metric_window_1h", begin, end)


async def _days(connection: Connection, begin: datetime, end: datetime, zone: str) -> None:
    await connection.execute(_SQL["days"], begin, end, zone, timeout=STATEMENT_S)
    await _up(connection, "metric_window_1d", begin, end)


async def _up(connection: Connection, table: str, begin: datetime, end: datetime) -> None:
    """Every level of areas from the one below, the finest first."""
    for depth in range(len(LEVELS) - 1, -1, -1):
        await connection.execute(_SQL["areas"].format(table=table), begin, end, depth, timeout=STATEMENT_S)


async def _drop_indexes(connection: Connection) -> list[str]:
    """Indexes go while rows come; how to make them again. Hypertables keep theirs."""
    if not await connection.fetchval("select relkind = 'p' from pg_class where oid = 'metric_window_1m'::regclass"):
        return []
    made = []
    for row in await connection.fetch(_SQL["indexes"]):
        await connection.execute(row["dropped"])
        made.append(row["made"])
    return made


async def _tidy(connection: Connection, statement: str) -> None:
    await connection.execute("set maintenance_work_mem = '512MB'")
    await connection.execute(statement, timeout=STATEMENT_S)


async def _finish(pool: Pool, city: City, end: datetime) -> None:
    async with pool.acquire() as connection:
        for table in ("rollup_state", "rollup_shard"):
            await connection.execute(f"update {table} set final_through = $1, minutes_through = $1", end)
        await _put_states(connection, city, end)
        await put_alerts(connection, city, end, random.Random(20261123))
        await connection.execute("drop table seed_leaf, seed_area")
        await connection.execute("analyze", timeout=STATEMENT_S)


async def _put_states(connection: Connection, city: City, end: datetime) -> None:
    """What each asset last said: as often as it speaks, before `end`; or when it fell silent."""
    rows = []
    for one in (*assets(_grids(city)), *facilities(_grids(city))):
        silent = one.quiet is not None and one.quiet[1] == timedelta(0)
        back = one.quiet[0] if silent and one.quiet is not None else timedelta(minutes=one.every - one.phase)
        last = end - back
        latest = f"{int(last.timestamp()) * 1_000_000}\x01/seed\x01{one.subject}\x01"
        rows.append((one.subject, one.type, one.area, last, latest, one.data))
    await connection.copy_records_to_table("asset_state", records=rows)
