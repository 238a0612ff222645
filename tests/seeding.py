"""Writes the windows of a whole city straight into its tables, so that a year of them is there within minutes.

`seed(dsn, end, days)` takes the shipped profile and the plan of seeded_plan.py. What it writes is what aggregate and rollup
would have: every level is made from the one below by their rules, hours and days from assets' minutes. Used by the tests of
dashboards and, with fewer days, by docs/draw_dashboards.py.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from citybrain.aggregate.modes import MODES, metric_rows
from citybrain.city import LEVELS, City
from citybrain.profiles import load, read_city
from citybrain.store.dictionary import Dictionary, Series, put_metrics
from citybrain.store.partitions import Partitions, bounds_of_month, month_of
from citybrain.store.pool import Connection, Pool, open_pool
from seeded_alerts import put_alerts
from seeded_plan import Measured, assets, measured

PROFILE = Path(__file__).parents[1] / "deploy" / "city"
STRETCH = timedelta(days=10)  # of one statement
SESSIONS = 2
_COLUMNS = "(series, start, parent, leaf, count, sum, min, max, latest, part, weight, subjects)"
_TABLES = """
create table seed_leaf (series integer, parent integer, every integer, phase integer, base float8, swing float8, noise float8,
                        peak float8, weight bigint, most float8, quiet_from timestamptz, quiet_to timestamptz);
create table seed_area (series integer, parent integer, depth integer, mode smallint);
"""
# Bytewise `latest` is (microseconds, source, id, value). Counts have as many readings as their value says. `offset 0` has
# PostgreSQL compute a row's figures once, not wherever they are named.
_MINUTES = f"""
insert into metric_window_1m {_COLUMNS}
select series, at, parent, true, case when weight < 0 then raw else 1 end, micros, micros, micros,
       epoch || '000000\x01/seed\x01' || series || '\x01' || micros, case when weight > 0 then raw * (weight / 1000000) end,
       case when weight > 0 then weight end, case when weight < 0 then 0 else 1 end
  from (select *, case when weight < 0 then raw * 1000000 else raw end as micros
          from (select l.series, t.at, t.epoch, l.parent, l.weight, least(l.most,
                       (greatest(0, l.base + l.swing * t.damped * cos((t.hour - l.peak) * 0.2617993878)
                        + l.noise * (hashint8(t.epoch + l.series * 7919) % 1000) / 1000.0::float8)
                       * case when l.weight < 0 then 1 else 1000000 end))::bigint as raw
                  from (select every, phase, at, epoch, (epoch / 3600.0 + 8)::float8 as hour,
                               case when (epoch / 86400 + 4) % 7 in (0, 6) then 0.65 else 1 end::float8 as damped
                          from (select every, phase, at, extract(epoch from at)::bigint as epoch
                                  from (select distinct every, phase from seed_leaf) beat
                                 cross join generate_series(date_bin(beat.every * interval '1 minute', $1, timestamptz '2000-01-01 00:00+00')
                                              + beat.phase * interval '1 minute', $2::timestamptz, beat.every * interval '1 minute') at
                                 where at >= $1 and at < $2 offset 0) moment offset 0) t
                  join seed_leaf l on l.every = t.every and l.phase = t.phase
                   and (t.at < l.quiet_from or t.at >= l.quiet_to or l.quiet_from is null) offset 0) figure offset 0) row
 where weight >= 0 or raw > 0
 order by at, series
"""  # noqa: S608
_UP = f"""
insert into {{table}} {_COLUMNS}
select series, start, parent, false, sum(count), sum(sum), min(min), max(max), max(latest),
       case when mode = 3 then max(part) else sum(part) end, sum(weight), sum(subjects)
  from (select a.series, c.start, a.parent, a.mode, c.count, c.sum, c.min, c.max, c.latest, c.subjects,
               case when not c.leaf then c.part when a.mode = 0 then c.sum when a.mode = 4 then round(c.part / c.count, 6)
                    else round(c.sum / c.count, 6) end as part,
               case when c.leaf and a.mode = 4 then round(c.weight / c.count, 6) else c.weight end as weight
          from {{table}} c join seed_area a on a.series = c.parent and a.depth = $3
         where c.start >= $1 and c.start < $2) child
 group by series, start, parent, mode
 order by series, start
"""
_LONGER = f"""
insert into {{table}} {_COLUMNS}
select series, {{start}}, parent, true, sum(count), sum(sum), min(min), max(max), max(latest), sum(part), sum(weight), max(subjects)
  from {{finer}} where leaf and start >= $1 and start < $2
 group by series, {{start}}, parent
 order by series, 2
"""
_HOUR = "date_bin('1 hour', start, timestamptz '2000-01-01 00:00+00')"
_DAY = "date_trunc('day', start, 'Asia/Shanghai')"


async def seed(dsn: str, end: datetime, days: int) -> City:
    """Windows of the days before `end`, a whole hour; latest states; alerts and deliveries. The city that it is."""
    files, city = read_city(PROFILE)
    async with open_pool(dsn, max_size=SESSIONS + 1) as pool:
        await load(pool, files, city)
        await put_metrics(pool, metric_rows())
        await _put_plan(pool, city, end)
        stretches = _stretches(end - timedelta(days=days), end)
        async with pool.acquire() as connection:
            months = {month_of(at) for pair in stretches for at in (*pair, pair[0] + STRETCH / 2)}
            await Partitions().ensure(connection, months)
            indexes = await _drop_indexes(connection)
        await _each(pool, stretches, _minutes_and_hours)
        await _each(pool, [(stretches[0][0], end)], _days)
        await _finish(pool, city, end, indexes)
    return city


def _stretches(begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Stretches that cross no month."""
    found: list[tuple[datetime, datetime]] = []
    while begin < end:
        upto = min(end, begin + STRETCH, bounds_of_month(*month_of(begin))[1])
        found.append((begin, upto))
        begin = upto
    return found


async def _put_plan(pool: Pool, city: City, end: datetime) -> None:
    leaves = list(measured(_grids(city)))
    areas = {Series(one.series.metric, code) for one in leaves for code in city.areas.path_at(one.series.area, end)}
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("drop table if exists seed_leaf, seed_area")
        await connection.execute(_TABLES)
        numbers = await Dictionary().number_series(connection, areas | {one.series for one in leaves})
        await connection.copy_records_to_table("seed_leaf", records=[_leaf(one, numbers, end) for one in leaves])
        rows = []
        for one in sorted(areas, key=lambda series: numbers[series]):
            above = city.areas.parent_at(one.area, end)
            parent = -numbers[one] if above is None else numbers[Series(one.metric, above)]
            rows.append((numbers[one], parent, LEVELS.index(city.areas.level(one.area)), int(MODES[one.metric])))
        await connection.copy_records_to_table("seed_area", records=rows)
        await connection.execute("analyze seed_leaf, seed_area")


def _leaf(one: Measured, numbers: dict[Series, int], end: datetime) -> tuple[object, ...]:
    """`weight`: of a ratio its capacity, 0 of another gauge or sum, -1 of a count. `most`: shares end at 1."""
    weight = one.capacity * 1_000_000 if one.series.subject is not None else -1
    quiet = (None, None) if one.quiet is None else (end - one.quiet[0], end - one.quiet[1])
    place = (numbers[one.series], numbers[one.series.of_area], one.every, one.phase)
    most = 1e6 if weight > 0 else 1e12
    return (*place, one.base, one.swing, one.noise, one.peak_hour, weight, most, *quiet)


def _grids(city: City) -> list[str]:
    return sorted({one.code for one in city.areas.at_level("grid")})


async def _each(pool: Pool, stretches: Sequence[tuple[datetime, datetime]], work: object) -> None:
    """All stretches, some of them at once."""
    assert callable(work)
    waiting = list(reversed(stretches))

    async def worker() -> None:
        async with pool.acquire() as connection:
            await connection.execute("set work_mem = '256MB'")
            while waiting:
                await work(connection, *waiting.pop())

    async with asyncio.TaskGroup() as group:
        for _ in range(min(SESSIONS, len(stretches))):
            group.create_task(worker())


async def _minutes_and_hours(connection: Connection, begin: datetime, end: datetime) -> None:
    await connection.execute(_MINUTES, begin, end, timeout=300)
    await _up(connection, "metric_window_1m", begin, end)
    hours = _LONGER.format(table="metric_window_1h", finer="metric_window_1m", start=_HOUR)
    await connection.execute(hours, begin, end, timeout=300)
    await _up(connection, "metric_window_1h", begin, end)


async def _days(connection: Connection, begin: datetime, end: datetime) -> None:
    """Days that have ended, from hours."""
    begin, end = await connection.fetchrow(
        f"select {_DAY.replace('start', '$1::timestamptz')} + interval '1 day', {_DAY.replace('start', '$2::timestamptz')}", begin, end
    ) or (begin, end)
    await connection.execute(
        _LONGER.format(table="metric_window_1d", finer="metric_window_1h", start=_DAY), begin, end, timeout=300
    )
    await _up(connection, "metric_window_1d", begin, end)


async def _up(connection: Connection, table: str, begin: datetime, end: datetime) -> None:
    """Every level of areas from the one below; the rows of a level may lie in several, so from the finest."""
    for depth in range(len(LEVELS) - 1, -1, -1):
        await connection.execute(_UP.format(table=table), begin, end, depth, timeout=300)


async def _drop_indexes(connection: Connection) -> list[str]:
    """Indexes of minutes go while rows come; how to make them again. Hypertables keep theirs."""
    if not await connection.fetchval("select relkind = 'p' from pg_class where oid = 'metric_window_1m'::regclass"):
        return []
    rows = await connection.fetch(
        "select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as made from pg_index"
        " where indrelid = 'metric_window_1m'::regclass"
    )
    for row in rows:
        await connection.execute(f"drop index {row['name']}")
    return [row["made"].replace(" ON ONLY ", " ON ") for row in rows]


async def _finish(pool: Pool, city: City, end: datetime, indexes: Sequence[str]) -> None:
    async with pool.acquire() as connection:
        await connection.execute("set maintenance_work_mem = '512MB'")
        for made in indexes:
            await connection.execute(made, timeout=300)
        await connection.execute("update rollup_state set final_through = $1, minutes_through = $1", end)
        await _put_states(connection, city, end)
        await put_alerts(connection, city, end, random.Random(20261123))
        await connection.execute("drop table seed_leaf, seed_area")
        await connection.execute("vacuum (analyze)", timeout=300)


async def _put_states(connection: Connection, city: City, end: datetime) -> None:
    rows = []
    for one in assets(_grids(city)):
        last = end - timedelta(minutes=one.every - one.phase % one.every)
        if one.quiet is not None and one.quiet[1] == timedelta(0):
            last = end - one.quiet[0]
        micros = int(last.timestamp() * 1_000_000)
        rows.append((one.subject, one.type, one.area, last, f"{micros}\x01/seed\x01{one.subject}\x01", one.data))
    await connection.copy_records_to_table("asset_state", records=rows)


__all__ = ["PROFILE", "asyncpg", "seed"]
