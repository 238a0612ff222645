"""What people do with alerts, and what another rule set makes of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from alerting import FULL, HELD, SILENT, Alerting, alerting, at, tick, worker_of
from citybrain.aggregate.modes import metric_rows
from citybrain.rulebook.model import LoadedRules
from citybrain.store.dictionary import put_metrics
from pipeline import pipeline
from records import occupancy, register, small_city


def lot(minute: int, occupied: int, subject: str = "lot-1") -> dict[str, Any]:
    return occupancy(f"{subject}-{minute}", at(minute), occupied, subject=subject)


async def go_to(city: Alerting, minute: int) -> None:
    await city.until(at(minute))
    await city.work()


async def ask(city: Alerting, kind: str, until: Any = None) -> None:
    await city.pool.execute(
        "insert into command (alert_id, kind, by, comment, until) select alert_id, $1, 'li', 'because', $2 from alert",
        kind,
        until,
    )
    await city.work()


async def handling(city: Alerting) -> Any:
    return await city.pool.fetchrow("select handling, handled_by, handled_until from alert")


async def firing(city: Alerting, minute: int = 10) -> None:
    await go_to(city, minute)
    await city.post(lot(minute, 97))
    await city.work()


async def test_commands_change_the_handling_and_are_logged_by_whom(database: str) -> None:
    async with alerting(database, FULL) as city:
        await firing(city)
        until = city.now + timedelta(hours=1)
        await ask(city, "acknowledge", until)
        assert tuple(await handling(city)) == ("acknowledged", "li", until)
        await ask(city, "comment")
        assert (await handling(city))["handling"] == "acknowledged"
        await ask(city, "unacknowledge")
        assert tuple(await handling(city)) == ("open", None, None)
        await ask(city, "close")
        assert (await handling(city))["handling"] == "closed"
        assert await city.states() == [("lot-1", "firing")]
        kinds = await city.pool.fetch("select kind, by, comment from alert_log where by is not null order by entry")
        assert [tuple(row) for row in kinds] == [
            (kind, "li", "because") for kind in ("acknowledged", "commented", "unacknowledged", "closed")
        ]  # fmt: skip
        assert not await city.pool.fetchval("select count(*) from command where done_at is null")


async def test_an_acknowledgement_that_runs_out_reopens_and_tells(database: str) -> None:
    async with alerting(database, FULL) as city:
        await firing(city)
        await ask(city, "acknowledge", at(15))
        await go_to(city, 14)
        assert (await handling(city))["handling"] == "acknowledged"
        await go_to(city, 16)
        assert (await handling(city))["handling"] == "open"
        assert [kind for _, kind in await city.intents()] == ["firing", "updated"]
        assert ("lot-1", "acknowledgement_expired", None) in await city.log()


async def test_commands_about_unknown_alerts_are_put_away(database: str) -> None:
    async with alerting(database, FULL) as city:
        await city.pool.execute("insert into command (alert_id, kind, by) values (gen_random_uuid(), 'close', 'li')")
        await city.work()
        assert not await city.pool.fetchval("select count(*) from command where done_at is null")


async def test_a_changed_condition_keeps_what_fires_and_drops_what_is_pending(database: str) -> None:
    async with alerting(database, HELD) as city:
        for minute in range(10, 16):
            await city.post(lot(minute, 97), *([lot(minute, 97, "lot-2")] if minute > 13 else []))
            await go_to(city, minute + 1)
        assert sorted(await city.states()) == [("lot-1", "firing"), ("lot-2", "pending")]
        await city.load(HELD | {"when": "avg >= 0.5", "clear": "avg < 0.4"})
        await city.work()
        assert await city.states() == [("lot-1", "firing")]
        assert ("lot-1", "rule_changed", tick(15)) in await city.log()
        await city.post(lot(16, 45), lot(16, 10, "lot-2"))
        await go_to(city, 18)
        assert await city.states() == [("lot-1", "firing")]
        await city.post(*(lot(minute, 20) for minute in range(17, 23)))
        await go_to(city, 24)
        assert await city.states() == [("lot-1", "resolved")]
        assert await city.intents() == [("lot-1", "firing"), ("lot-1", "resolved")]


async def test_a_removed_rule_ends_its_alerts_with_a_notice(database: str) -> None:
    async with alerting(database, FULL, SILENT) as city:
        await firing(city)
        await go_to(city, 13)
        await city.load(SILENT)
        await city.work()
        (alert,) = await city.alerts()
        assert (alert["state"], alert["provisional"]) == ("resolved", False)
        assert ("lot-1", "rule_removed", tick(12)) in await city.log()
        assert await city.intents() == [("lot-1", "firing"), ("lot-1", "resolved")]
        assert not await city.pool.fetchval("select count(*) from rule_scope")


async def test_a_renamed_rule_carries_its_alerts_over(database: str) -> None:
    async with alerting(database, FULL) as city:
        await firing(city)
        await go_to(city, 13)
        (before,) = await city.alerts()
        await city.load(FULL | {"rule": "car_park_full", "renamed_from": "lot_full"})
        await city.work()
        await city.post(lot(13, 98))
        await go_to(city, 16)
        (after,) = await city.alerts()
        assert (after["alert_id"], after["rule"], after["state"]) == (before["alert_id"], "car_park_full", "firing")
        assert await city.intents() == [("lot-1", "firing")]


async def test_a_worse_severity_reopens_and_tells(database: str) -> None:
    async with alerting(database, FULL) as city:
        await firing(city)
        await ask(city, "acknowledge")
        await city.load(FULL | {"severity": "critical"})
        await city.work()
        row = await city.pool.fetchrow("select severity, handling from alert")
        assert tuple(row or ()) == ("critical", "open")
        assert [kind for _, kind in await city.intents()] == ["firing", "updated"]


@pytest.mark.parametrize("rule", [HELD, SILENT])
async def test_a_new_rule_looks_at_what_is_not_settled_yet(database: str, rule: dict[str, Any]) -> None:
    async with alerting(database, FULL | {"rule": "other", "when": "last > 2"}) as city:
        await go_to(city, 20)
        await city.post(*(lot(minute, 97) for minute in range(10, 20)), register("m", at(10), 1))
        await go_to(city, 25)
        assert await city.states() == []
        await city.load(rule)
        await city.work()
        assert [state for _, state in await city.states()] == ["firing"]


async def test_rules_are_new_until_time_has_begun(database: str) -> None:
    async with pipeline(database, small_city()) as city:
        await put_metrics(city.pool, metric_rows())
        loaded: list[LoadedRules] = []
        before = Alerting(city, worker_of(city.pool, small_city(), loaded, lambda: before.now), loaded)
        await before.load(FULL)
        await before.post(lot(-5, 97))
        await before.work()
        assert await before.states() == []
        await city.beat(before.now)
        await before.work()
        assert await before.states() == [("lot-1", "firing")]
