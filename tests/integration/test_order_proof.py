"""Invariants 2, 3 and 4: the state is a function of the set of events, whatever the order, the batches and the crashes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from citybrain.aggregate import newest, rollup
from citybrain.aggregate.modes import metric_rows
from citybrain.aggregate.verify import differences
from citybrain.aggregate.worker import AggregateWorker
from citybrain.api.state import dump
from citybrain.city import City
from citybrain.store.dictionary import put_metrics
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC
from crashes import Crash, CrashingPool, Fuse
from happenings import ZONES, Happening, happenings, instant
from oracle import Expected, Key, windows
from pipeline import Pipeline, pipeline
from postgres import Databases, fresh_database
from records import records, small_city, stamp
from sharing import shared_rollup

END = datetime(2026, 6, 1, tzinfo=UTC)
CITIES = {zone: small_city(zone) for zone in ZONES}
EXAMPLES = 25


class Deed(NamedTuple):
    """Something done between posts: work, rollup or a heartbeat; perhaps it crashes, and new owners go on."""

    role: str
    fuse_at: int | None
    late: bool
    beat: datetime


class Story(NamedTuple):
    """How a set of events arrives: indices of events a post, what is done after each, by how many rollups, and from how
    many rows on they are copied in."""

    posts: list[list[int]]
    deeds: list[list[Deed]]
    partitions: int
    max_records: int
    limits: tuple[int, int, int]
    rollups: int = 1
    copied_from: int = newest.AT_LEAST


@st.composite
def stories(draw: st.DrawFn, events: Sequence[Happening]) -> Story:
    """Any permutation, some repeats, any cuts."""
    order = draw(st.permutations(range(len(events))))
    posts: list[list[int]] = [[]]
    for index in order:
        if draw(st.booleans()) and draw(st.booleans()):
            posts.append([])
        posts[-1].append(index)
    for again in draw(st.lists(st.integers(0, len(events) - 1), max_size=6)):
        posts[draw(st.integers(0, len(posts) - 1))].append(again)
    moments = st.sampled_from(sorted({instant(one) for one in events} | {END}))
    deed = st.builds(
        Deed,
        st.sampled_from(("work", "work", "roll", "beat")),
        st.one_of(st.none(), st.integers(1, 30)),
        st.booleans(),
        moments,
    )
    deeds = [draw(st.lists(deed, max_size=3)) for _ in posts]
    limits = st.sampled_from(((50_000, 20_000, 5_000), (1, 1, 1), (4, 2, 3), (3, 50, 1)))
    sizes = draw(st.integers(1, 4)), draw(st.sampled_from((1, 5, 20_000)))
    return Story(posts, deeds, *sizes, draw(limits), draw(st.sampled_from((1, 1, 2, 3))), draw(st.sampled_from((1, 2, 500))))


async def dumped(city: Pipeline, profile: City) -> list[str]:
    await put_metrics(city.pool, metric_rows())
    if await city.pool.fetchval("select min(time) > '2024-01-01' from event"):  # day by day: ten years take their time
        assert [one async for one in _verified(city, profile)] == []
    return [line async for line in dump(city.pool, profile)]


async def _verified(city: Pipeline, profile: City) -> Any:
    async with city.pool.acquire() as connection:
        async for one in differences(connection, profile):
            yield one


async def plainly(databases: Databases, profile: City, events: Sequence[Happening]) -> list[str]:
    """By event time, in one post."""
    async with fresh_database(databases) as dsn, pipeline(dsn, profile, partitions=1) as city:
        await city.post(records(sorted(events, key=instant)))
        await city.beat(END)
        await city.drain()
        return await dumped(city, profile)


async def told(
    databases: Databases, profile: City, events: Sequence[Happening], story: Story, bus: Any = None
) -> tuple[list[str], tuple[int, ...]]:
    """As the story goes, on the Postgres bus unless another is given; the dump and the five figures at its end."""
    async with fresh_database(databases) as dsn, pipeline(dsn, profile, story.partitions) as city:
        city.bus = bus or city.bus
        with ExitStack() as smaller:
            for name, limit in zip(("MAX_DIRTY", "MAX_DUE", "MAX_STATEMENT_ROWS"), story.limits, strict=True):
                smaller.enter_context(patch.object(rollup, name, limit))
            smaller.enter_context(patch.object(newest, "AT_LEAST", story.copied_from))
            await renew(city, profile, story, Fuse())
            for post, deeds in zip(story.posts, story.deeds, strict=True):
                await city.post(records(events[index] for index in post))
                for deed in deeds:
                    await _do(city, profile, story, deed)
            await city.beat(END)
            await city.drain()
        return await dumped(city, profile), await city.figures()


async def _do(city: Pipeline, profile: City, story: Story, deed: Deed) -> None:
    if deed.role == "beat":
        await city.beat(deed.beat)
        return
    fuse = Fuse(deed.fuse_at, deed.late)
    if deed.fuse_at is not None:
        await renew(city, profile, story, fuse)
    with suppress(Crash):
        await (city.worker.step() if deed.role == "work" else city.rollup.step())
    if deed.fuse_at is not None:
        await renew(city, profile, story, Fuse())


async def renew(city: Pipeline, profile: City, story: Story, fuse: Fuse) -> None:
    """New owners, who know nothing of the ones before."""
    pool: Any = CrashingPool(city.pool, fuse)
    metrics = Metrics()
    city.worker = AggregateWorker(pool, city.bus, EVENTS_TOPIC, lambda: profile, metrics, max_records=story.max_records)
    city.rollup = shared_rollup(pool, lambda: profile, story.rollups)
    await city.pool.execute("update lease set until = now() - interval '1 s'")  # so that nobody has to wait for it


def found_windows(lines: Sequence[str]) -> dict[Key, dict[str, Any]]:
    found = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]
    return {
        Key(
            one["step"], datetime.fromisoformat(one["start"]), one["metric"], one["area"], one["subject"], one["source"]
        ): one
        for one in found
        if one["table"] == "metric_window"
    }  # fmt: skip


def same(found: dict[str, Any], wanted: Expected) -> bool:
    """All columns equal; `value` is the exact figure, rounded to six places (ties aside)."""
    exact = all(
        int(found[name] * (1 if name in {"count", "subjects"} else 1_000_000)) == getattr(wanted, name)
        for name in ("count", "subjects", "sum", "min", "max", "last")
    )
    if found["value"] is None or wanted.value is None:
        return exact and found["value"] is None and wanted.value is None
    return exact and abs(Fraction(found["value"]) * 1_000_000 - wanted.value) <= Fraction(501, 1000)


def check_against_the_oracle(lines: Sequence[str], events: Sequence[Happening], zone: str) -> None:
    found, wanted = found_windows(lines), windows(events, zone)
    assert found.keys() == wanted.keys()
    assert [(key, found[key], wanted[key]) for key in wanted if not same(found[key], wanted[key])] == []
    stored = [json.loads(line) for line in lines]
    assert sum(one["table"] == "event" for one in stored) == len(events)
    states = {(one["subject"], one["type"]): one["id"] for one in stored if one["table"] == "asset_state"}
    ordered = sorted(events, key=lambda one: (one["time"], one["source"].encode(), one["id"].encode()))
    sensors = ("parking.occupancy", "parking.session.started", "parking.session.ended", "utility.reading", "bin.level")
    assert states == {(one["subject"], one["type"]): one["id"] for one in ordered if one["type"] in sensors}


@pytest.mark.long
@pytest.mark.timeout(300)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
async def test_any_order_any_batches_and_any_crash_give_the_same_state(databases: Databases, data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(ZONES))
    events = data.draw(happenings())
    story = data.draw(stories(events))
    first = await plainly(databases, CITIES[zone], events)
    check_against_the_oracle(first, events, zone)
    second, figures = await told(databases, CITIES[zone], events, story)
    assert second == first
    posted = sum(map(len, story.posts))
    assert figures == (posted, len(events), posted - len(events), 0, 0)


@pytest.mark.long
@pytest.mark.timeout(200)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
async def test_stored_and_conflicts_are_the_distinct_contents_whatever_the_order(
    databases: Databases, data: st.DataObject
) -> None:
    events = data.draw(happenings(most=12))
    for one in data.draw(st.lists(st.sampled_from(events), max_size=8)):
        other = one | {"fingerprint": data.draw(st.sampled_from(("0" * 32, "1" * 32, one["fingerprint"])))}
        events.append(other | {"time": stamp(instant(one)) if data.draw(st.booleans()) else stamp(END)})
    contents = {(one["source"], one["id"], one["fingerprint"]) for one in events}
    _, figures = await told(databases, CITIES[ZONES[0]], events, data.draw(stories(events)))
    accepted, stored, repeated, conflicts, dead = figures
    assert accepted == stored + repeated + conflicts + dead
    assert stored == len({(source, identity) for source, identity, _ in contents})
    assert stored + conflicts == len(contents)
