"""Invariants 9 and 10: one live alert per problem, whatever is killed or runs twice; no transition without its intent."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from alerting import FULL, HELD, SILENT, Alerting, alerting, at, worker_of
from crashes import Crash, CrashingPool, Fuse
from postgres import Databases, fresh_database
from records import occupancy, register, small_city

AREA = FULL | {
    "rule": "area_full",
    "per": "street",
    "when": "value >= 0.95",
    "clear": "value < 0.85",
    "window": "2m",
    "for": "1m",
}
WAITING = """select count(*) from change c left join change_position p using (role, partition)
             where c.batch > coalesce(p.batch, -1)"""
RULES = (HELD, FULL | {"rule": "early_full"}, AREA, SILENT)


def story() -> list[dict[str, Any]]:
    """Two lots and a meter, for half an hour from the tenth minute on."""
    found: list[dict[str, Any]] = []
    for minute in range(10, 40):
        one = 97 if 12 <= minute < 22 or 30 <= minute < 33 else 40
        other = 99 if minute in (15, 16, 18, 19, 20, 21, 22) else 90 if minute < 30 else 10
        found.append(occupancy(f"one-{minute}", at(minute), one, subject="lot-1"))
        found.append(occupancy(f"other-{minute}", at(minute, 40), other, subject="lot-2"))
        if minute not in range(18, 30):
            found.append(register(f"meter-{minute}", at(minute, 5), minute, subject="meter-1"))
    return found


async def play(city: Alerting, batches: list[list[dict[str, Any]]], first: int = 10) -> None:
    """Batches, one a minute of time from the first on; then everything settles."""
    for n, batch in enumerate(batches):
        await city.until(at(first + n, 45))
        if batch:
            await city.post(*batch)
        await city.work()
    for minute in (50, 75, 110):
        await city.until(at(minute))
        await city.work()


async def tidy(city: Alerting) -> None:
    """Each transition that people could hear of was intended: a firing, then its end, never two of a kind in a row."""
    kinds: dict[Any, list[str]] = {}
    for row in await city.pool.fetch("select alert_id, kind from intent order by intent_no"):
        kinds.setdefault(row["alert_id"], []).append(row["kind"])
    fired = {row["alert_id"] for row in await city.alerts() if row["fired_at"] is not None}
    assert fired == kinds.keys()
    for found in kinds.values():
        assert found == (["firing", "resolved"] * len(found))[: len(found)]
    for row in await city.alerts():
        assert (kinds[row["alert_id"]][-1] == "resolved") == (row["ended_at"] is not None)
    entries = await city.pool.fetch("select alert_id, max(entry) as most, count(*) as n from alert_log group by alert_id")
    assert all(row["most"] == row["n"] for row in entries)


def by_minute(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [[one for one in events if one["id"].endswith(f"-{minute}")] for minute in range(10, 40)]


def joined(batches: list[list[dict[str, Any]]], size: int) -> list[list[dict[str, Any]]]:
    """So many batches as one."""
    return [[one for batch in batches[n : n + size] for one in batch] for n in range(0, len(batches), size)]


async def settled_of(databases: Databases, batches: list[list[dict[str, Any]]], first: int = 10) -> list[tuple[Any, ...]]:
    async with fresh_database(databases) as dsn, alerting(dsn, *RULES) as city:
        await play(city, batches, first)
        await tidy(city)
        assert await city.pool.fetchval("select count(*) from alert where provisional") == 0
        return await city.settled()


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_any_order_and_any_batches_settle_to_the_same_episodes_and_logs(databases: Databases) -> None:
    events = story()
    live = await settled_of(databases, by_minute(events))
    assert [row[1] for row in live].count("subject:lot-1") >= 3
    assert {row[0] for row in live} == {"lot_full", "early_full", "area_full", "meter_silent"}
    assert await settled_of(databases, [events], 42) == live
    shuffled = events.copy()
    random.Random(5).shuffle(shuffled)
    assert await settled_of(databases, [shuffled[n::7] for n in range(7)], 42) == live
    assert await settled_of(databases, joined(by_minute(events)[::-1], 5), 43) == live


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_crash_between_every_two_statements_changes_nothing_that_settles(databases: Databases) -> None:
    events = [one for one in story() if int(one["id"].rsplit("-")[-1]) < 26]
    batches = joined(by_minute(events), 4)[:4]
    async with fresh_database(databases) as dsn, alerting(dsn, *RULES) as city:
        await play(city, batches, 24)
        calm = await city.settled()
        assert len(calm) >= 4
    async with fresh_database(databases) as dsn, alerting(dsn, *RULES) as city:
        fuse = Fuse()
        crashes = 0
        work = city.worker

        async def step() -> bool:
            """One step, with a crash at every statement of it, before and after: each by a process of its own."""
            nonlocal crashes
            for late in (False, True):
                at_statement = 1
                while at_statement < 400:
                    fuse.at, fuse.late, fuse.seen = at_statement, late, 0
                    crashing = worker_of(CrashingPool(city.pool, fuse), small_city(), city.loaded, lambda: city.now)
                    try:
                        busy = await crashing.step()
                    except Crash:
                        crashes += 1
                        at_statement += 1
                        continue
                    if not busy:
                        break
                    at_statement = 1
            return await work.step()

        city.worker = type("Crashing", (), {"step": staticmethod(step)})()  # type: ignore[assignment]
        await play(city, batches, 24)
        await tidy(city)
        assert crashes > 200
        assert await city.settled() == calm


async def test_a_hundred_triggers_and_two_workers_make_one_alert(database: str) -> None:
    async with alerting(database, FULL) as city:
        await city.until(at(10))
        await city.work()
        other = worker_of(city.pool, small_city(), city.loaded, lambda: city.now, owner=2)
        tasks = [asyncio.create_task(one.run()) for one in (city.worker, other)]
        try:
            for n in range(100):
                await city.post(occupancy(f"storm-{n}", at(10, n / 2), 95 + n % 6, subject="lot-1"))
                if n % 10 == 0:
                    await city.city.drain()
            await city.city.drain()
            async with asyncio.timeout(15):
                while await city.pool.fetchval(WAITING) or not await city.alerts():
                    await asyncio.sleep(0.05)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert await city.states() == [("lot-1", "firing")]
        assert await city.intents() == [("lot-1", "firing")]


async def test_a_second_worker_stands_by_and_goes_on_when_the_first_is_gone(database: str) -> None:
    async with alerting(database, FULL) as city:
        other = worker_of(city.pool, small_city(), city.loaded, lambda: city.now, owner=2)
        await city.until(at(10))
        await city.post(occupancy("a", at(10), 99, subject="lot-1"))
        await city.work()
        assert not await other.step()
        await city.pool.execute("update lease set until = now() - interval '1 s' where name = 'alert'")
        await city.until(at(12))
        await city.post(occupancy("b", at(12), 10, subject="lot-1"))
        await city.city.drain()
        assert await other.step()
        assert not await city.worker.step()
        while await other.step():
            pass
        assert await city.states() == [("lot-1", "resolved")]
        assert await city.intents() == [("lot-1", "firing"), ("lot-1", "resolved")]
