"""A crash between any two statements of notification loses no page and makes no second one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citybrain.alert.notify.flush import Flusher
from crashes import Crash, CrashingPool, Fuse
from notifying import BEGIN, LEFT, RIGHT, Notifying, escalation, notifying, route, rule

S = timedelta(seconds=1)
_TABLES = "alert, alert_log, intent, notification_group, notified, delivery, silence, lease"
_ROUTES = [
    route(match={"severity": "critical"}, to=["chief"], proceed=True),
    route(escalate=(escalation(30 * S, "chief"),)),
]
_RULES = [rule("main_burst", {"lot_full": ["street"]}), rule("lot_full")]
OUTCOMES = {"sent", "silenced", "inhibited", "muted", "no_route", "superseded"}


async def _story(city: Notifying, fuse: Fuse) -> int:
    """Two alerts told, one silenced, one inhibited and told later, one escalated; all end. The number of crashes."""
    crashes = 0
    loop = city.flusher(CrashingPool(city.pool, fuse))

    async def pass_by(after: timedelta) -> None:
        nonlocal crashes, loop
        city.now += after
        while True:
            try:
                await city.step(flusher=loop)
            except Crash:
                crashes += 1
                loop = city.flusher()
            else:
                return

    first = await city.fire("lot-1", severity="critical")
    await pass_by(S)
    burst = await city.fire("pipe-1", "main_burst")
    second = await city.fire("lot-2", area=RIGHT)
    await city.silence({"subject": "lot-3"}, until_resolved=True)
    third = await city.fire("lot-3")
    await pass_by(S)
    await city.end(burst)
    await city.end(third)
    await pass_by(2 * S)
    await pass_by(40 * S)
    for one in (first, second):
        await city.end(one)
    await pass_by(2 * S)
    await pass_by(2 * S)
    return crashes


async def _result(city: Notifying) -> tuple[Any, ...]:
    subjects = {row["alert_id"]: row["subject"] for row in await city.pool.fetch("select alert_id, subject from alert")}
    sent = await city.pool.fetch("select e.name, d.type, d.alert_ids from delivery d join endpoint e using (endpoint_id)")
    intents = await city.pool.fetch("select alert_id, kind, outcome from intent order by intent_no")
    log = await city.pool.fetch("select alert_id, entry, kind from alert_log order by alert_id, entry")
    left = await city.pool.fetchval("select (select count(*) from notified) + (select count(*) from notification_group)")
    return (
        Counter((row["name"], row["type"], tuple(sorted(subjects[one] for one in row["alert_ids"]))) for row in sent),
        [(subjects[row["alert_id"]], row["kind"], row["outcome"]) for row in intents],
        sorted((subjects[row["alert_id"]], row["entry"], row["kind"]) for row in log),
        left,
    )


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_crash_at_any_statement_loses_no_page_and_makes_no_second_one(database: str) -> None:
    async with notifying(database, _ROUTES, _RULES) as city:
        await city.endpoint("chief")
        whole = Fuse()
        assert await _story(city, whole) == 0
        expected = await _result(city)
        assert expected[0]["duty", "alert.firing", ("lot-2",)] == 1
        assert expected[0]["chief", "alert.escalated", ("lot-2",)] == 1
        assert expected[3] == 0
        tried = 0
        for late in (False, True):
            for at in count(1):
                await city.pool.execute(f"truncate {_TABLES} restart identity")
                city.now = BEGIN
                crashes = await _story(city, Fuse(at, late))
                assert await _result(city) == expected, (at, late)
                if crashes == 0:
                    break
                tried += 1
        assert tried > 100


_Step = st.tuples(st.sampled_from(["fire", "end", "retract", "update", "silence", "close", "pass"]), st.integers(0, 3))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_Step, max_size=25))
@pytest.mark.long
@pytest.mark.timeout(180)
async def test_every_intent_ends_with_one_outcome_and_every_told_firing_with_its_end(
    database: str, steps: list[tuple[str, int]]
) -> None:
    routes = [
        route(match={"subject": "lot-1"}, group_wait=3 * S),
        route(match={"severity": "critical"}, proceed=True),
        route(group_by=()),
    ]
    rules = [rule("a", {"b": ["street"]}), rule("b", {"a": ["street"]})]
    async with notifying(database, routes, rules, endpoints=()) as city:
        await city.pool.execute(f"truncate {_TABLES}, endpoint restart identity cascade")
        await city.endpoint("duty")
        await _play(city, city.flusher(), steps)
        assert {outcome for _, outcome in await city.outcomes()} <= OUTCOMES
        assert await city.pool.fetchval("select count(*) from notified") == 0
        told: Counter[tuple[str, str]] = Counter()
        for body in await city.webhooks():
            told.update((alert.id, body.type) for alert in body.data.alerts)
        groups = {identity: number for (identity, kind), number in told.items() if kind == "alert.firing"}
        ends = {identity: number for (identity, kind), number in told.items() if kind == "alert.resolved"}
        assert ends == groups
        assert all(number <= 2 for number in groups.values())


async def _play(city: Notifying, loop: Flusher, steps: Sequence[tuple[str, int]]) -> None:
    """At most one live alert a slot; in the end all end, and time passes until everything is told."""
    live: dict[int, Any] = {}
    for what, slot in steps:
        if what == "fire" and slot not in live:
            severity = "critical" if slot == 2 else "warning"
            live[slot] = await city.fire(f"lot-{slot}", "ab"[slot % 2], (LEFT, RIGHT)[slot // 2], severity=severity)
        elif what in {"end", "retract"} and slot in live:
            await city.end(live.pop(slot), "resolved" if what == "end" else "retracted")
        elif what == "update" and slot in live:
            await city.update(live[slot], severity="critical")
        elif what == "silence":
            await city.silence({"subject": f"lot-{slot}"}, hours=0.002, until_resolved=slot == 3)
        elif what == "close" and slot in live:
            await city.pool.execute("update alert set handling = 'closed' where alert_id = $1", live[slot])
        else:
            await city.step(S, loop)
    for alert in live.values():
        await city.end(alert)
    for _ in range(6):
        await city.step(5 * S, loop)
