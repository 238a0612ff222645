"""A simulated city: the same seed gives the same bytes, days have their rhythm, faults show, some posts come late or twice."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from statistics import mean
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from citybrain.simulate.stream import Place, Plan, Post, SimulatedCity
from citybrain_schemas.events import EVENT_TYPES

ROUNDS = 4
ZONE = ZoneInfo("Asia/Shanghai")
BEGIN = datetime(2026, 11, 23, 0, 0, tzinfo=ZONE)  # a Monday
PLACES = tuple(Place(f"61060000100100{n}", 109.5 + n / 100, 38.2) for n in range(6))


def plan(rate: float = 1.0, hours: float = 6 * ROUNDS, seed: int = 7, places: tuple[Place, ...] = PLACES) -> Plan:
    return Plan(places, rate, BEGIN.astimezone(UTC), timedelta(hours=hours), seed, ZONE)


@cache
def city() -> tuple[SimulatedCity, tuple[Post, ...], tuple[dict[str, Any], ...]]:
    made = SimulatedCity(plan())
    posts = tuple(made.posts())
    return made, posts, tuple(json.loads(post.event) for post in posts)


def at(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["time"]).astimezone(ZONE)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    first, again, other = (list(SimulatedCity(plan(hours=1, seed=seed)).posts()) for seed in (7, 7, 8))
    assert [(post.at, post.event) for post in first] == [(post.at, post.event) for post in again]
    assert [post.event for post in first] != [post.event for post in other]


def test_posts_come_in_the_order_of_sending_and_never_before_they_happen() -> None:
    _, posts, events = city()
    assert all(a.at <= b.at for a, b in pairwise(posts))
    assert all(at(event) <= post.at for post, event in zip(posts, events, strict=True))


@pytest.mark.parametrize(("rate", "count"), [(0.5, 1), (5.0, 6), (200.0, 3)])
def test_the_rate_is_kept(rate: float, count: int) -> None:
    hours = min(4.0, 20 / rate)
    posts = list(SimulatedCity(plan(rate=rate, hours=hours, places=PLACES[:count])).posts())
    assert len(posts) / (hours * 3600) == pytest.approx(rate, rel=0.12)


def test_every_event_is_one_that_a_city_knows() -> None:
    _, _, events = city()
    kinds = {event["type"]: event for event in events}
    assert kinds.keys() == {"parking.occupancy", "utility.reading", "bin.level", "collection.done", "citizen.report"}
    for event in (*kinds.values(), *events[:500]):
        EVENT_TYPES[event["type"]].data.model_validate(event["data"])


def test_offices_are_full_by_day_and_homes_by_night() -> None:
    made, _, events = city()
    lots = {actor.subject: getattr(actor, "kind", "") for actor in made._actors}
    by_kind: dict[tuple[str, int], list[float]] = defaultdict(list)
    for event in events:
        if event["type"] == "parking.occupancy" and not made._by_subject[event["subject"]]:
            by_kind[lots[event["subject"]], at(event).hour].append(event["data"]["occupied"] / event["data"]["capacity"])
    assert mean(by_kind["office", 10]) > 4 * mean(by_kind["office", 2])
    assert mean(by_kind["homes", 2]) > 1.5 * mean(by_kind["homes", 14])


def test_water_runs_low_at_night_but_never_dry() -> None:
    made, _, events = city()
    by_hour: dict[int, list[float]] = defaultdict(list)
    for event in events:
        if event["data"].get("quantity") == "flow" and not made._by_subject[event["subject"]]:
            by_hour[at(event).hour].append(event["data"]["value"])
    assert mean(by_hour[8]) > 3 * mean(by_hour[3]) > 0


def test_a_weekend_is_no_working_day() -> None:
    saturday = Plan(PLACES, 2.0, BEGIN + timedelta(days=5), timedelta(hours=24), 7, ZONE)
    made = SimulatedCity(saturday)
    lots = {actor.subject: getattr(actor, "kind", "") for actor in made._actors}
    full = [
        event["data"]["occupied"] / event["data"]["capacity"]
        for event in (json.loads(post.event) for post in made.posts())
        if event["type"] == "parking.occupancy" and lots[event["subject"]] == "office" and not made._by_subject[event["subject"]]
    ]
    assert mean(full) < 0.3


def test_every_kind_of_fault_happens_in_every_round_and_none_twice_at_once() -> None:
    made, _, _ = city()
    counts = Counter(fault.kind for fault in made.faults)
    assert counts.keys() == {"burst_main", "full_lot", "silent_meter", "stuck_sensor", "offline_app"}
    assert min(counts.values()) >= ROUNDS
    for faults in made._by_subject.values():
        ordered = sorted(faults, key=lambda fault: fault.start)
        assert all(before.end <= after.start for before, after in pairwise(ordered))
    assert all(fault.start >= BEGIN and fault.end <= BEGIN + timedelta(hours=6 * ROUNDS) for fault in made.faults)


def test_faults_show_in_what_is_posted() -> None:
    made, _, events = city()
    said: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        said[event.get("subject", event["area"])].append(event)
    for fault in made.faults:
        during = [event for event in said[fault.subject or fault.area] if fault.holds(at(event))]
        match fault.kind:
            case "silent_meter":
                assert not during
                continue
            case "full_lot":
                assert all(event["data"]["occupied"] >= 0.95 * event["data"]["capacity"] for event in during)
            case "stuck_sensor":
                assert len({event["data"]["level_percent"] for event in during}) == 1
            case "burst_main":
                assert all(event["data"]["value"] < 240 for event in during if event["data"]["quantity"] == "pressure")
                assert any(event["data"]["category"] == "0501" for event in said[fault.area] if fault.holds(at(event)))
            case _:
                continue
        assert during


def test_some_posts_are_hours_late_and_all_at_once() -> None:
    made, posts, events = city()
    late = [(post, event) for post, event in zip(posts, events, strict=True) if post.late and not post.repeat]
    assert 0.02 < len(late) / len(posts) < 0.12
    assert max(post.at - at(event) for post, event in late) > timedelta(hours=1)
    ends = {fault.end for fault in made.faults if fault.kind == "offline_app"}
    assert {post.at for post, _ in late} <= ends


def test_some_posts_are_repeated_unchanged() -> None:
    _, posts, _ = city()
    counts = Counter(post.event for post in posts)
    assert sum(post.repeat for post in posts) / len(posts) == pytest.approx(0.03, abs=0.006)
    assert all(counts[post.event] == 2 for post in posts if post.repeat)


def test_the_truth_names_kind_times_subject_and_area() -> None:
    made, _, _ = city()
    truth = [fault.truth() for fault in made.faults]
    assert all(one.keys() == {"kind", "start", "end", "subject", "area"} for one in truth)
    assert all((one["subject"] is None) == (one["kind"] == "offline_app") for one in truth)
