"""`state verify` makes minutes of assets, and pairs, of the raw events anew: silent when right, else it names the row."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from citybrain.access import Principal, Role
from citybrain.aggregate import verify
from citybrain.aggregate.modes import metric_rows
from citybrain.bus.port import Record
from citybrain.city import City
from citybrain.ingest.decide import Circumstances, decide
from citybrain.ingest.strict_json import decode_item
from citybrain.store import upkeep
from citybrain.store.dictionary import put_metrics
from citybrain.store.partitions import event_stretches
from citybrain.store.verify import Difference
from happenings import session
from pipeline import Pipeline, pipeline
from postgres import cut_by_days
from records import GRIDS, T0, accepted, minutes_later, occupancy, reading, records, register, small_city

POSTS = sorted((Path(__file__).parents[2] / "schemas" / "examples" / "posts").glob("*.json"))
NOW = datetime(2026, 12, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder(decimal_format="number").encode
Event = dict[str, Any]


class Poster:
    """Events as a field app writes them, decided as ingest does."""

    def __init__(self, city: City) -> None:
        self._around = Circumstances.of(city, Principal(uuid4(), "a key", Role.INGEST, None), NOW)
        self._numbers = count()

    def event(self, kind: str, at: datetime, data: Event, **more: object) -> Event:
        whole = {"specversion": "1.0", "id": f"e{next(self._numbers)}", "source": "/test", "type": kind, "area": GRIDS[0]}
        return whole | {"time": at.isoformat(), "subject": "meter-1", "data": data} | more

    def meter(self, at: datetime, quantity: str, value: Decimal | str, unit: str, **more: object) -> Event:
        data = {"medium": "water", "quantity": quantity, "value": Decimal(value), "unit": unit}
        return self.event("utility.reading", at, data, **more)

    def session(self, at: datetime, role: str, session_id: str, **more: object) -> Event:
        data = {"session_id": session_id, "plate": "陕J·A1234"}
        return self.event(f"parking.session.{role}", at, data, subject="street-1", **more)

    def decided(self, events: Iterable[Event]) -> list[Record]:
        found = []
        for event in events:
            one = decide(decode_item(_encode(event)), self._around)
            assert isinstance(one, Record), (event, one)
            found.append(one)
        return found


def of_every_kind(poster: Poster) -> list[Event]:
    """The golden posts, meters in odd units, registers that fall, sessions over midnight and without an end."""
    dice = random.Random(7)
    found = [json.loads(path.read_text("utf-8"), parse_float=Decimal) | {"area": GRIDS[3]} for path in POSTS]
    for n in range(120):
        at = minutes_later(dice.randrange(60 * 50), dice.choice((0, 0.000001, 30, 59.999999)))
        value = Decimal(dice.randrange(10**8)).scaleb(-dice.randrange(9))
        found.append(poster.meter(at, "flow", value, dice.choice(("L/s", "m3/h", "gal/min")), subject=f"pipe-{n % 3}"))
        found.append(poster.meter(at, "register", value % 997, dice.choice(("m³", "L")), area=GRIDS[n % 2]))
        found.append(poster.meter(at, "consumption", value % 13, "m³", subject="meter-2"))
        found.append(poster.session(at, dice.choice(("started", "ended")), f"s{n % 20}"))
        taken = {"occupied": dice.randrange(9), "capacity": dice.choice((0, 3, 7))}
        found.append(poster.event("parking.occupancy", at, taken, subject=f"lot-{n % 2}", area=GRIDS[n % 8]))
    return found


@asynccontextmanager
async def stored(dsn: str, posts: Iterable[Sequence[Record]]) -> AsyncIterator[tuple[Pipeline, City]]:
    """A city that has taken the posts one after the other, and has made all that follows."""
    profile = small_city()
    async with pipeline(dsn, profile) as city:
        await put_metrics(city.pool, metric_rows())
        for post in posts:
            await city.post(post)
            await city.drain()
        await city.beat(NOW)
        await city.drain()
        yield city, profile


async def wrong(city: Pipeline, profile: City) -> list[Difference]:
    async with city.pool.acquire() as connection:
        return [one async for one in verify.differences(connection, profile)]


async def wrong_of_events(city: Pipeline, profile: City) -> list[tuple[object, ...]]:
    """What of the assets differs: step, metric, subject or source, start, stored, computed."""
    return [
        (one.step, one.metric, one.subject or one.source, one.start, one.stored, one.computed)
        for one in await wrong(city, profile)
        if one.step in {"1m", "pair"} and (one.subject or one.source)
    ]


@pytest.mark.parametrize("at_once", [1, 17, 20_000])
async def test_nothing_differs_in_a_city_with_late_events_repeats_and_conflicts(
    database: str, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(verify, "MAX_EVENTS", at_once)
    poster = Poster(small_city())
    events = of_every_kind(poster)
    random.Random(1).shuffle(events)
    others = [event | {"time": minutes_later(n).isoformat()} for n, event in enumerate(events[::9])]
    late = poster.decided(events[len(events) // 2 :])
    posts = [poster.decided(events[: len(events) // 2]), late, late[:50], poster.decided(others)]
    async with stored(database, posts) as (city, profile):
        _, kept, repeated, conflicts, dead = await city.figures()
        assert (kept, repeated, conflicts, dead) == (len(events), 50, len(others), 0)
        assert await city.pool.fetchval("select count(*) from paired_reading where reset") > 10
        assert len(await city.rows("1m", "parking.dwell", leaf=True)) > 10
        assert await wrong(city, profile) == []


def report(identity: str, at: datetime) -> Event:
    data = {"category": "x", "description": "y", "location": {"type": "Point", "coordinates": [109, 36]}}
    return accepted(identity, at, [reading("citizen.reports", 1)], type="citizen.report", subject=None, data=data)


def a_few() -> list[Event]:
    """A car park on the minutes 0 and 1, a meter on 0 to 3 that falls on 2, a session from 0 to 5, a report on 1."""
    street = {"subject": "street-1", "data": {"session_id": "s"}}
    return [
        *(occupancy(f"o{n}", minutes_later(n // 2), n, 10) for n in range(4)),
        *(register(f"r{n}", minutes_later(n), value) for n, value in enumerate((10, 12, 3, 7))),
        session("s", minutes_later(0), "started", **street),
        session("e", minutes_later(5), "ended", **street),
        report("c", minutes_later(1)),
    ]


LOT = "where series = (select series_no from series where metric = 'parking.occupied_ratio' and subject = 'lot-1')"
SECOND = f"{LOT} and start = '{minutes_later(1)}'"
FALLEN = f"metric = 'water.consumption' and time = '{minutes_later(2)}'"
OF_LOTS = ("parking.occupied", "parking.occupied_ratio")
NAMED = ("1m", "parking.occupied_ratio", "lot-1", minutes_later(1))


@pytest.mark.parametrize(
    ("change", "stored_count"),
    [
        ("count = count + 1", 3),
        ("sum = sum + 1", 2),
        ("min = min - 1", 2),
        ("max = max + 1", 2),
        ("latest = latest || '0'", 2),
        ("part = part + 1", 2),
        ("part = null", 2),
        ("weight = weight + 1", 2),
        ("subjects = 2", 2),
        ("count = 0", None),
    ],
)
async def test_a_changed_minute_is_named(database: str, change: str, stored_count: int | None) -> None:
    async with stored(database, [records(a_few())]) as (city, profile):
        assert await wrong(city, profile) == []
        assert await city.pool.execute(f"update metric_window_1m set {change} {SECOND}") == "UPDATE 1"
        assert await wrong_of_events(city, profile) == [(*NAMED, stored_count, 2)]


async def test_a_removed_minute_is_named(database: str) -> None:
    async with stored(database, [records(a_few())]) as (city, profile):
        assert await city.pool.execute(f"delete from metric_window_1m {SECOND}") == "DELETE 1"
        assert await wrong_of_events(city, profile) == [(*NAMED, None, 2)]


async def test_added_minutes_are_named_between_and_after_events(database: str) -> None:
    columns = "parent, leaf, count, sum, min, max, latest, part, weight, subjects"
    moments = [minutes_later(7), T0 + timedelta(days=30, hours=23)]
    async with stored(database, [records(a_few())]) as (city, profile):
        for moment in moments:
            copy = f"insert into metric_window_1m (series, start, {columns}) select series, $1, {columns} from metric_window_1m"
            assert await city.pool.execute(f"{copy} {SECOND}", moment) == "INSERT 0 1"
        assert await wrong_of_events(city, profile) == [(*NAMED[:3], moment, 2, None) for moment in moments]


async def test_a_minute_whose_event_is_gone_is_named(database: str) -> None:
    async with stored(database, [records(a_few())]) as (city, profile):
        assert await city.pool.execute("delete from event where id = 'c'") == "DELETE 1"
        assert await wrong_of_events(city, profile) == [("1m", "citizen.reports", "/test", minutes_later(1), 1, None)]


async def test_an_event_that_has_no_minute_is_told_by_the_minute_that_it_should_have(database: str) -> None:
    columns = "source_no, type, subject, area, data, fingerprint, accepted_at"
    add = f"insert into event (time, id, {columns}) select $1, 'again', {columns} from event where id = 'o3'"
    async with stored(database, [records(a_few())]) as (city, profile):
        assert await city.pool.execute(add, minutes_later(9)) == "INSERT 0 1"
        assert await wrong_of_events(city, profile) == [("1m", metric, "lot-1", minutes_later(9), None, 1) for metric in OF_LOTS]


async def test_an_event_whose_data_was_changed_is_told_by_its_minutes(database: str) -> None:
    async with stored(database, [records(a_few())]) as (city, profile):
        changed = """update event set data = '{"occupied": 9, "capacity": 10}' where id = 'o3'"""
        assert await city.pool.execute(changed) == "UPDATE 1"
        assert await wrong_of_events(city, profile) == [("1m", metric, "lot-1", minutes_later(1), 2, 2) for metric in OF_LOTS]


async def test_what_came_past_ingest_is_told_by_its_minutes(database: str) -> None:
    past = [accepted("past", T0, [reading("parking.occupied", 3)]), register("past too", T0, 5, type="meter.of.tomorrow")]
    async with stored(database, [records(past)]) as (city, profile):
        assert await wrong_of_events(city, profile) == [
            ("1m", "parking.occupied", "lot-1", T0, 1, None),
            ("1m", "water.register", "meter-1", T0, 1, None),
            ("pair", "water.consumption", "meter-1", T0, 1, None),
        ]


@pytest.mark.parametrize(
    "change", ["micros = micros + 1", f"area = '{GRIDS[1]}'", "role = 'direct'", "reset = not reset", "key = key || 'x'"]
)
@pytest.mark.parametrize(("metric", "subject", "minute"), [("water.consumption", "meter-1", 1), ("parking.dwell", "street-1", 5)])
async def test_a_changed_pair_is_named_and_not_its_minute_which_is_right(
    database: str, metric: str, subject: str, minute: int, change: str
) -> None:
    async with stored(database, [records(a_few())]) as (city, profile):
        statement = f"update paired_reading set {change} where metric = $1 and time = $2"
        assert await city.pool.execute(statement, metric, minutes_later(minute)) == "UPDATE 1"
        counts = [(None, 1), (1, None)] if change.startswith("key") else [(1, 1)]
        assert await wrong_of_events(city, profile) == [("pair", metric, subject, minutes_later(minute), *one) for one in counts]


async def test_removed_and_added_pairs_are_named(database: str) -> None:
    columns = "metric, subject, chain, key, area, role, micros"
    add = f"insert into paired_reading (time, {columns}) select $1, {columns} from paired_reading where {FALLEN}"
    async with stored(database, [records(a_few()), records([report("much later", T0 + timedelta(days=80))])]) as (city, profile):
        moments = [T0 + timedelta(hours=1), T0 + timedelta(days=40), T0 + timedelta(days=400)]
        for moment in moments:  # among events, in a month without any, and after all
            assert await city.pool.execute(add, moment) == "INSERT 0 1"
        assert await city.pool.execute(f"delete from paired_reading where {FALLEN}") == "DELETE 1"
        assert await wrong_of_events(city, profile) == [
            ("pair", "water.consumption", "meter-1", minutes_later(2), None, 1),
            *(("pair", "water.consumption", "meter-1", moment, 1, None) for moment in moments),
        ]


async def test_a_minute_of_consumption_that_was_changed_is_named(database: str) -> None:
    change = "update metric_window_1m w set sum = w.sum + 1 from series s where s.series_no = w.series and s.subject = 'meter-1'"
    async with stored(database, [records(a_few())]) as (city, profile):
        only = f"{change} and s.metric = 'water.consumption' and w.start = '{minutes_later(3)}'"
        assert await city.pool.execute(only) == "UPDATE 1"
        assert await wrong_of_events(city, profile) == [("1m", "water.consumption", "meter-1", minutes_later(3), 1, 1)]


async def test_months_whose_raw_events_were_forgotten_are_left_alone_and_later_ones_still_build_on_them(database: str) -> None:
    street = {"subject": "street-1", "data": {"session_id": "over the end of the month"}}
    month_ends = [
        *(register(f"before {n}", T0 - timedelta(hours=9 - n), 100 + n) for n in range(5)),
        session("in", T0 - timedelta(minutes=5), "started", **street),
        occupancy("before", T0 - timedelta(minutes=5), 1),
    ]
    await cut_by_days(database)
    async with stored(database, [records(month_ends), records(a_few())]) as (city, profile):
        await city.post(records([session("out", minutes_later(2), "ended", **street), register("on", minutes_later(4), 9)]))
        await city.drain()
        assert await wrong(city, profile) == []
        async with city.pool.acquire() as connection:
            ended = [one.name for one in await event_stretches(connection) if one.end <= T0]
            assert await upkeep.forget_events(connection, T0) == ended != []
        assert await wrong(city, profile) == []
        assert await city.pool.execute(f"update metric_window_1m set sum = sum + 1 {SECOND}") == "UPDATE 1"
        assert await wrong_of_events(city, profile) == [(*NAMED, 2, 2)]
