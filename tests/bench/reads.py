"""Series, alerts and assets as a dashboard asks for them: p95 in an idle city, and while it ingests as fast as it can.

Idle and loaded turns alternate in one city; medians of the turns are printed, with their ratio. Ten days of half-hourly car
parks and two thousand alerts are there to be read; the load is the dense shape.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from multiprocessing.synchronize import Event as EventType
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the tests' own modules are

import aiohttp
import asyncpg
from tests.bench.city import HEADERS, City, play, running_city
from tests.bench.shapes import Shape, bodies, shapes

from citybrain.store.embedded import database_of

GRIDS, POST, IN_FLIGHT = 1_000, 500, 16
LOTS, DAYS = 30, 10
ALERTS, ASKS, PAUSE_S = 2_000, 20, 0.02
_ALERTS = """
insert into alert (alert_id, rule, scope, rule_version, severity, state, area, path, subject, title, summary, threshold,
                   started_at, fired_at, opened_at, changed_at, ended_at)
select gen_random_uuid(), 'lot_full', 'subject:lot-' || n, 1, (array['warning', 'major'])[1 + n % 2],
       case when n % 20 = 0 then 'firing' else 'resolved' end, $1, array[$1, left($1, 12), left($1, 9), left($1, 6), '610600'],
       'lot-' || n, '{"en": "Full", "zh": "满"}', '{"en": "Full", "zh": "满"}', 'last >= 0.95',
       now() - n * interval '1 minute', now(), now() - n * interval '1 minute', now(),
       case when n % 20 = 0 then null else now() end
  from generate_series(1, $2::integer) n
"""


@dataclass(frozen=True)
class Ask:
    """One kind of question."""

    name: str
    path: str
    query: dict[str, str]


def measure(runs: int) -> None:
    """Print p95 by kind of question."""
    with tempfile.TemporaryDirectory(prefix="citybrain-bench-") as name, running_city(Path(name), GRIDS) as (city, grids):
        end = datetime.now(UTC)
        history = replace(_shape("backlog"), events=LOTS * DAYS * 48)
        asyncio.run(play(city, bodies(history.posts(grids, end), POST)))
        asyncio.run(_put_alerts(city, grids[0]))
        turns = asyncio.run(_turns(city, grids, end, runs))
    for one in turns["idle"][0]:
        _tell(one, *(statistics.median(_p95(turn[one]) for turn in turns[name]) for name in ("idle", "busy")))
    whole = {name: [value for turn in found for values in turn.values() for value in values] for name, found in turns.items()}
    _tell("all", _p95(whole["idle"]), _p95(whole["busy"]))


def _tell(what: str, idle: float, busy: float) -> None:
    figures = f"p95 idle {idle * 1000:7.1f} ms  under load {busy * 1000:7.1f} ms  ratio {busy / idle:5.1f}"
    print(f"reads {what:<24} {figures}", flush=True)  # noqa: T201


def _shape(name: str, events: int = 600_000) -> Shape:
    return next(one for one in shapes(events) if one.name == name)


async def _put_alerts(city: City, grid: str) -> None:
    async with database_of(city.data) as dsn:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(_ALERTS, grid, ALERTS)
            await connection.execute("analyze")
        finally:
            await connection.close()


def _asks(grids: Sequence[str], end: datetime) -> list[Ask]:
    def series(name: str, area: str, hours: float, step: str, subject: str | None = None) -> Ask:
        query = {
            "metric": "parking.occupied",
            "area": area,
            "step": step,
            "from": _text(end - timedelta(hours=hours)),
            "to": _text(end),
        }
        return Ask(name, "/v1/series", query | ({"subject": subject} if subject else {}))

    return [
        series("series 1m asset, a day", grids[3], 24, "1m", "lot-00003"),
        series("series 1m city, 6 hours", "610600", 6, "1m"),
        series("series 1h asset, 10 days", grids[3], 24 * DAYS, "1h", "lot-00003"),
        series("series 1h city, 10 days", "610600", 24 * DAYS, "1h"),
        series("series 1d city, 10 days", "610600", 24 * DAYS, "1d"),
        Ask("alerts firing", "/v1/alerts", {"state": "firing"}),
        Ask("alerts of a district", "/v1/alerts", {"area": grids[0][:6], "severity": "major"}),
        Ask("assets", "/v1/assets", {"limit": "100"}),
        Ask("status", "/v1/status", {}),
    ]


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


async def _turns(city: City, grids: Sequence[str], end: datetime, runs: int) -> dict[str, list[dict[str, list[float]]]]:
    found: dict[str, list[dict[str, list[float]]]] = {"idle": [], "busy": []}
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        await _turn(session, city, _asks(grids, end))  # what is read first is read from disk
        for turn in range(runs):
            found["idle"].append(await _turn(session, city, _asks(grids, end)))
            with _load(city, grids, turn):
                before = await _accepted(session, city)
                async with asyncio.timeout(60):
                    while await _accepted(session, city) < before + 10_000:
                        await asyncio.sleep(0.2)
                before, begun = await _accepted(session, city), time.monotonic()
                found["busy"].append(await _turn(session, city, _asks(grids, end)))
                rate = (await _accepted(session, city) - before) / (time.monotonic() - begun)
            print(f"reads while {rate:.0f} events/s were stored", flush=True)  # noqa: T201
            while any(role["lag"] for role in (await _status(session, city))["roles"].values()):
                await asyncio.sleep(0.2)
    return found


@contextmanager
def _load(city: City, grids: Sequence[str], turn: int) -> Iterator[None]:
    """Posts in flight from a process of its own, so that it is not our own loop that is busy."""
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    process = context.Process(target=_post_until, args=(city.url, list(grids), turn, over))
    process.start()
    try:
        yield
    finally:
        over.set()
        process.join(30)
        process.kill()


def _post_until(url: str, grids: Sequence[str], turn: int, over: EventType) -> None:
    """Dense sensors, again and again under other ids."""
    posts = bodies(_shape("dense", 50_000).posts(list(grids), datetime.now(UTC), seed=turn + 2), POST)
    fresh = (body.replace(b'"id":"', b'"id":"%d-%d-' % (turn, n)) for n in count() for body in posts)

    async def post(session: aiohttp.ClientSession) -> None:
        while not over.is_set():
            async with session.post(f"{url}/v1/events", data=next(fresh)) as answer:
                if answer.status not in {202, 429, 503}:
                    raise RuntimeError(f"{answer.status} {await answer.text()}")
            await asyncio.sleep(0.1 if answer.status != 202 else 0)

    async def post_all() -> None:
        async with aiohttp.ClientSession(headers=HEADERS) as session:
            await asyncio.gather(*(post(session) for _ in range(IN_FLIGHT)))

    asyncio.run(post_all())


async def _turn(session: aiohttp.ClientSession, city: City, asks: Sequence[Ask]) -> dict[str, list[float]]:
    """Seconds of each question, asked in turns, one after the other."""
    took: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(ASKS):
        for ask in asks:
            begun = time.perf_counter()
            async with session.get(city.url + ask.path, params=ask.query) as answer:
                await answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"{ask.name}: {answer.status} {await answer.text()}")
            took[ask.name].append(time.perf_counter() - begun)
            await asyncio.sleep(PAUSE_S)
    return dict(took)


async def _status(session: aiohttp.ClientSession, city: City) -> dict[str, dict[str, dict[str, int]]]:
    async with session.get(f"{city.url}/v1/status") as answer:
        found: dict[str, dict[str, dict[str, int]]] = await answer.json()
        return found


async def _accepted(session: aiohttp.ClientSession, city: City) -> int:
    accepted: int = (await _status(session, city))["accepted"]  # type: ignore[assignment]
    return accepted


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
