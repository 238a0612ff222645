"""What a chart is read from: never raw events; silence as exact as if it were; bounded points; a year at once."""

from __future__ import annotations

import json
import random
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from citybrain.api.feeding import candidates
from citybrain.api.holes import Silence, dues, holes, window_starts
from citybrain.api.series import Question, read_series
from citybrain.api.steps import Step, StepName, fitting
from citybrain.city import City
from citybrain.store import window_reads
from plans import nodes
from reading import Reading, reading
from records import CITY, GRIDS, T0, occupancy, records, small_city

HEAD = "subject,type,area,every,valid_from,valid_to\n"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPAN = (T0 - DAY, T0 + 6 * DAY)


@pytest.mark.parametrize(
    ("length", "step"),
    [
        (HOUR, "1m"),
        (DAY, "1m"),
        (timedelta(minutes=1500), "1m"),
        (2 * DAY, "1h"),
        (62 * DAY, "1h"),
        (63 * DAY, "1d"),
        (3650 * DAY, "1d"),
    ],
)
def test_without_a_step_the_finest_that_a_chart_can_show_is_taken(length: timedelta, step: StepName) -> None:
    assert fitting(T0, T0 + length) == step
    windows = {"1m": timedelta(minutes=1), "1h": HOUR, "1d": DAY}[step]
    assert step == "1d" or length / windows <= 1500


def _times(dice: random.Random, every_s: int, most: int) -> list[datetime]:
    """Readings with seconds, some in one minute, pauses around the limit of 1.5 times `every`, and long ones."""
    at, found = T0 + timedelta(seconds=dice.randrange(86_400)), []
    while at < T0 + 4 * DAY and len(found) < 250:
        found += [at + timedelta(seconds=n * 7) for n in range(dice.randint(1, most))]
        limit = every_s * 1.5
        pause = dice.choice([every_s, every_s, limit, limit + dice.uniform(-70, 70), dice.uniform(1, 30) * every_s])
        at = found[-1] + timedelta(seconds=round(max(pause, 1)))
    return found


def _truth(city: City, times: dict[str, list[datetime]], step: Step, watermark: datetime, subject: str | None) -> set[str]:
    """The starts of windows that lie in a hole of each asset that feeds, straight from the readings."""
    quiet: list[set[datetime]] = []
    subjects = [subject] if subject else sorted(times)
    for one in subjects:
        mine = sorted(times[one])
        found: set[datetime] = set()
        for due in dues(candidates(city, "parking.occupied", city.areas.codes, one)):
            pairs = list(zip([None, *mine], [*mine, None], strict=True))
            for hole in holes([Silence(*pair) for pair in pairs], due, watermark):
                starts = window_starts(hole, step, watermark)
                found |= set(step.starts(*starts)) if starts is not None else set()
        quiet.append(found)
    busy = {step.floor(at) for one in subjects for at in times[one]}
    alike = set.intersection(*quiet) - busy
    return {start.isoformat().replace("+00:00", "Z") for start in alike if SPAN[0] <= start < SPAN[1]}


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Asia/Kathmandu"])
@pytest.mark.parametrize(("every_s", "most"), [(60, 3), (1800, 3), (1800, 1)])
async def test_silent_points_are_those_of_the_readings_and_stay_so_when_the_events_are_forgotten(
    database: str, zone: str, every_s: int, most: int
) -> None:
    """`most`: readings within a few seconds; of several in a minute the first is known only while its event is kept."""
    dice = random.Random(every_s + len(zone))
    roster = HEAD + "".join(f"{lot},parking.occupancy,{GRIDS[n]},{every_s}s,2026-02-28,\n" for n, lot in enumerate("abc"))
    city_of = small_city(zone, roster)
    times = {lot: _times(dice, every_s, most) for lot in "abc"}
    rows = [
        occupancy(f"{lot}{n}", at, n % 90, subject=lot, area=GRIDS["abc".index(lot)])
        for lot, found in times.items()
        for n, at in enumerate(found)
    ]
    async with reading(database, city_of) as city:
        await city.pipeline.post(records(rows))
        for beaten in (T0 + 2 * DAY + 17 * HOUR, T0 + 5 * DAY):
            await city.pipeline.beat(beaten)
            await city.pipeline.drain()
            mark = beaten - timedelta(seconds=30)
            for step in ("1m", "1h", "1d"):
                for subject in (*"abc", None):
                    truth = _truth(city_of, times, Step(step, ZoneInfo(zone)), mark, subject)
                    assert await _silent(city, step, subject) == truth, (step, subject, beaten)
        if most > 1:
            return
        before = [await _silent(city, step, None) for step in ("1m", "1h", "1d")]
        await city.pipeline.pool.execute("delete from event")
        assert [await _silent(city, step, None) for step in ("1m", "1h", "1d")] == before


async def _silent(city: Reading, step: str, subject: str | None) -> set[str]:
    points = await city.points("parking.occupied", CITY, step, SPAN, subject=subject)
    return {point["start"] for point in points if point["count"] == 0}


class _Recorder:
    """A connection that notes what it is asked."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.asked: list[tuple[str, tuple[object, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name not in {"fetch", "fetchrow", "fetchval"}:
            return found

        async def noting(query: str, *values: object) -> Any:
            self.asked.append((query, values))
            return await found(query, *values)

        return noting


async def test_no_chart_reads_raw_events(database: str) -> None:
    roster = HEAD + "".join(f"lot-{n},parking.occupancy,{GRIDS[n]},30m,2026-02-01,\n" for n in range(4))
    rows = [
        occupancy(f"{n}-{k}", T0 + k * HOUR / 2, k % 90, subject=f"lot-{n}", area=GRIDS[n])
        for n in range(4)
        for k in range(100)
        if k % 30 < 25
    ]
    async with reading(database, small_city(roster=roster)) as city:
        await city.pipeline.post(records(rows))
        await city.pipeline.beat(T0 + 3 * DAY)
        await city.pipeline.drain()
        silent, statements = 0, 0
        async with window_reads.snapshot(city.pipeline.pool) as connection:
            metric = await window_reads.find_metric(connection, "parking.occupied")
            for step in ("1m", "1h", "1d"):
                for area, subject in ((CITY, None), (GRIDS[0], None), (GRIDS[0], "lot-0"), (GRIDS[7], None)):
                    noted = _Recorder(connection)
                    asked = Question("parking.occupied", area, subject, Step(step, ZoneInfo("Asia/Shanghai")), *SPAN, 10_000)
                    answer = await read_series(noted, city.city, asked, metric, datetime.now(UTC))  # type: ignore[arg-type]
                    silent += sum('"count":0' in point for point in answer.points)
                    for query, values in noted.asked:
                        statements += 1
                        plan = json.loads(await connection.fetchval(f"explain (format json) {query}", *values))[0]["Plan"]
                        read = {node["Relation Name"] for node in nodes(plan) if "Relation Name" in node}
                        assert not [name for name in read if re.match(r"event(_|$)", name)], query
        assert silent > 100, "holes were looked for"
        assert statements > 50


async def test_the_one_event_that_is_asked_for_is_found_along_the_index(database: str) -> None:
    """Two readings in the minute that ends a pause of just over 1.5 times `every`: which one came first decides."""
    roster = HEAD + f"lot-1,parking.occupancy,{GRIDS[0]},60s,2026-03-01,\n"
    times = [T0 + timedelta(seconds=59), T0 + timedelta(seconds=151), T0 + timedelta(seconds=155)]  # a pause of 92 s
    async with reading(database, small_city(roster=roster)) as city:
        await city.pipeline.post(records([occupancy(f"e{n}", at, 1) for n, at in enumerate(times)]))
        await city.pipeline.beat(T0 + HOUR)
        await city.pipeline.drain()
        span = (T0, T0 + timedelta(minutes=3))
        points = await city.points("parking.occupied", GRIDS[0], "1m", span, subject="lot-1")
        assert [(point["start"][14:16], point["count"]) for point in points] == [("00", 1), ("01", 0), ("02", 2)]
        pool = city.pipeline.pool
        query = window_reads.load("heard")["first_of_minute"]
        async with pool.acquire() as connection:
            await connection.execute("set enable_seqscan = off")
            text = await connection.fetchval(
                f"explain (format json) {query}", [0], ["lot-1"], ["parking.occupancy"], [T0 + timedelta(minutes=2)]
            )
        scans = [node for node in nodes(json.loads(text)[0]["Plan"]) if "Relation Name" in node and "Plans" not in node]
        assert {node["Node Type"] for node in scans} <= {"Index Scan", "Bitmap Heap Scan", "Index Only Scan"}, text


_YEAR = """
with leaf as (
  select r.series_no as series, p.series_no as parent, r.subject from series r
    join series p on p.metric = r.metric and p.area = r.area and p.subject is null and p.source is null
   where r.subject is not null and r.metric = 'parking.occupied'
)
insert into metric_window_{step} (series, start, parent, leaf, count, sum, min, max, latest, subjects)
select l.series, t, l.parent, true, 2, 2000000, 1000000, 1000000,
       lpad((extract(epoch from t) * 1000000)::bigint::text, 16, '0') || e'\\x01/s\\x01x\\x011000000', 1
  from leaf l cross join generate_series($1::timestamptz, $2, $3::interval) as t
 where extract(doy from t)::integer % 40 > 2
on conflict do nothing
"""
_ABOVE = """
insert into metric_window_{step} (series, start, parent, leaf, count, sum, min, max, latest, part, subjects)
select s.series_no, t, -s.series_no, false, 100, 100000000, 1000000, 1000000,
       lpad((extract(epoch from t) * 1000000)::bigint::text, 16, '0') || e'\\x01/s\\x01x\\x011000000', 50, 50
  from series s cross join generate_series($1::timestamptz, $2, $3::interval) as t
 where s.subject is null and s.source is null and s.metric = 'parking.occupied' and s.area = '610600'
   and extract(doy from t)::integer % 40 > 2
on conflict do nothing
"""


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_a_year_comes_in_one_answer_and_fast(database: str) -> None:
    """Fifty assets every half hour for a year, with days of silence; the limit is generous, for other tests run beside."""
    lots = 50
    roster = HEAD + "".join(f"lot-{n},parking.occupancy,{GRIDS[n % 8]},30m,2026-03-01,\n" for n in range(lots))
    end = T0 + 365 * DAY
    async with reading(database, small_city(roster=roster), now=end) as city:
        first = [occupancy(f"f{n}", T0 + timedelta(minutes=1), 1, subject=f"lot-{n}", area=GRIDS[n % 8]) for n in range(lots)]
        last = [occupancy(f"l{n}", end, 1, subject=f"lot-{n}", area=GRIDS[n % 8]) for n in range(lots)]
        await city.pipeline.post(records([*first, *last]))
        await city.pipeline.beat(end + HOUR)
        await city.pipeline.drain()
        pool = city.pipeline.pool
        for step, every in (("1h", HOUR), ("1d", DAY)):
            begin = T0 if step == "1h" else T0 - 8 * HOUR
            for query in (_YEAR, _ABOVE):
                await pool.execute(query.format(step=step), begin, end - HOUR, every, timeout=60)
        await pool.execute("vacuum analyze", timeout=60)
        for step, subject, most in (
            ("1h", None, 8761),
            ("1h", "lot-7", 8761),
            ("1d", None, 366),
            ("1d", "lot-7", 366),
            (None, None, 366),
        ):
            took = []
            for _ in range(5):
                begun = time.perf_counter()
                asked = {"metric": "parking.occupied", "area": CITY, "from_": T0, "to": end, "step": step, "subject": subject}
                found = (await city.get("/v1/series", **asked)).json
                took.append(time.perf_counter() - begun)
            points = found["points"]
            assert (found["next"], found["step"]) == (None, step or "1d")
            assert most * 0.95 < len(points) <= most, (step, subject, len(points))
            assert sum(point["count"] == 0 for point in points) >= (200 if step == "1h" else 8), (step, subject)
            assert sorted(took)[2] < 2, (step, subject, took)


async def test_an_answer_is_bounded_whatever_is_asked(database: str) -> None:
    roster = HEAD + f"mute,parking.occupancy,{GRIDS[0]},60s,1970-01-01,\n"
    async with reading(database, small_city(roster=roster)) as city:
        await city.pipeline.post(records([occupancy("a", T0, 1)]))
        await city.pipeline.beat(T0 + HOUR)
        await city.pipeline.drain()
        asked = {"metric": "parking.occupied", "area": GRIDS[0], "from_": "1900-01-01T00:00:00Z", "to": "2199-01-01T00:00:00Z"}
        for subject in ("mute", None):
            answer = (await city.get("/v1/series", step="1m", subject=subject, **asked)).json
            assert len(answer["points"]) <= 10_000
        assert (await city.get("/v1/series", step="1m", limit=10_001, **asked)).status == 422
