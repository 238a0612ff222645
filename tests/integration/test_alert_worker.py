"""Change to alerts, over a real database: early and final, late, silent, handled."""

from __future__ import annotations

import json
from typing import Any

from alerting import FULL, HELD, SILENT, Alerting, alerting, at, tick
from records import GRIDS, occupancy, register


def lot(minute: float, occupied: int, subject: str = "lot-1", **more: Any) -> dict[str, Any]:
    return occupancy(f"{subject}-{minute}-{occupied}", at(minute), occupied, subject=subject, **more)


def meter(minute: float, subject: str = "meter-1", seconds: float = 20, **more: Any) -> dict[str, Any]:
    return register(f"{subject}-{minute}", at(minute, seconds), 1 + minute, subject=subject, **more)


async def hours(city: Alerting, minutes: int) -> None:
    await city.until(at(minutes))
    await city.work()


async def test_an_early_rule_fires_at_the_open_tick_and_tells_once(database: str) -> None:
    async with alerting(database, FULL) as city:
        await hours(city, 10)
        await city.post(lot(10, 97))
        await city.work()
        (alert,) = await city.alerts()
        assert (alert["state"], alert["started_at"], alert["subject"], alert["area"]) == ("firing", tick(11), "lot-1", GRIDS[0])
        assert alert["provisional"]
        await city.post(lot(10.2, 98))
        await city.work()
        assert await city.intents() == [("lot-1", "firing")]
        await hours(city, 14)
        assert await city.states() == [("lot-1", "firing")]
        assert await city.intents() == [("lot-1", "firing")]
        await city.post(lot(14, 20))
        await city.work()
        assert await city.states() == [("lot-1", "resolved")]
        await hours(city, 80)
        (alert,) = await city.alerts()
        assert (alert["state"], alert["ended_at"], alert["provisional"]) == ("resolved", tick(15), False)
        assert await city.intents() == [("lot-1", "firing"), ("lot-1", "resolved")]
        assert await city.log(settled=True) == [("lot-1", "firing", tick(11)), ("lot-1", "resolved", tick(15))]
        assert await city.pool.fetchval("select count(*) from rule_scope") == 0


async def test_an_early_alert_keeps_the_figures_it_fired_with_when_its_window_says_otherwise(database: str) -> None:
    async with alerting(database, FULL) as city:
        await hours(city, 10)
        await city.post(lot(10, 97))
        await city.work()
        await city.post(lot(10.2, 90))
        await city.work()
        (alert,) = await city.alerts()
        assert (alert["state"], json.loads(alert["value"])["last"]) == ("resolved", 0.97)


async def test_an_alert_carries_what_people_need(database: str) -> None:
    async with alerting(database, FULL) as city:
        await hours(city, 10)
        await city.post(lot(10, 97))
        await city.work()
        row = await city.pool.fetchrow(
            "select value::text, evidence::text, summary::text, threshold, path, labels::text from alert"
        )
        assert row is not None
        assert '"last": 0.97' in row["value"]
        evidence = json.loads(row["evidence"])
        assert (evidence["events"], evidence["sources"]) == (["lot-1-10-97"], ["/test"])
        assert "lot-1 is 97% full" in row["summary"]
        assert "停车场已满" in row["summary"]
        assert row["threshold"] == "last >= 0.95"
        assert row["path"] == [GRIDS[0], GRIDS[0][:12], GRIDS[0][:9], GRIDS[0][:6], "610600"]


async def test_what_was_true_at_an_open_tick_alone_is_retracted_and_told(database: str) -> None:
    async with alerting(database, FULL) as city:
        await hours(city, 10)
        await city.post(lot(10, 97))
        await city.work()
        await city.post(lot(10.3, 20))
        await city.work()
        assert await city.states() == [("lot-1", "resolved")]
        await city.post(lot(10.4, 99))
        await city.work()
        assert sorted(await city.states()) == [("lot-1", "firing"), ("lot-1", "resolved")]
        await city.post(lot(10.5, 20))
        await city.work()
        await hours(city, 90)
        assert await city.states() == [("lot-1", "retracted"), ("lot-1", "retracted")]
        assert [kind for _, kind in await city.intents()] == ["firing", "resolved", "firing", "resolved"]
        assert await city.log(settled=True) == []


async def test_pending_makes_no_intent_and_leaves_nothing(database: str) -> None:
    async with alerting(database, HELD) as city:
        for minute in range(10, 13):
            await city.post(lot(minute, 97))
            await hours(city, minute + 1)
        assert await city.states() == [("lot-1", "pending")]
        await city.post(lot(13, 20))
        await hours(city, 30)
        assert await city.states() == []
        assert await city.intents() == []
        assert await city.pool.fetchval("select count(*) from alert_log") == 0


async def test_late_events_open_revise_and_retract(database: str) -> None:
    async with alerting(database, HELD) as city:
        await hours(city, 40)
        await city.post(*(lot(minute, 97) for minute in range(20, 30)), *(lot(minute, 20) for minute in range(30, 36)))
        await city.work()
        (alert,) = await city.alerts()
        assert (alert["state"], alert["started_at"], alert["fired_at"], alert["ended_at"]) == (
            "resolved",
            tick(21),
            tick(24),
            tick(34),
        )
        assert alert["late_by_s"] == 15 * 60
        assert await city.intents() == [("lot-1", "firing"), ("lot-1", "resolved")]
        await city.post(*(lot(minute, 99) for minute in range(15, 20)))
        await city.work()
        (again,) = await city.alerts()
        assert (again["alert_id"], again["started_at"]) == (alert["alert_id"], tick(16))
        await city.post(*(lot(minute + 0.1, 0) for minute in range(15, 30)))
        await city.work()
        assert await city.states() == [("lot-1", "retracted")]


async def test_history_older_than_lateness_pages_nobody(database: str) -> None:
    async with alerting(database, HELD, lateness="30m") as city:
        await hours(city, 100)
        await city.post(*(lot(minute, 97) for minute in range(10, 60)), lot(60, 20))
        await city.work()
        assert await city.alerts() == []


async def test_silence_fires_at_the_first_final_tick_and_the_next_reading_ends_it_at_once(database: str) -> None:
    async with alerting(database, SILENT) as city:
        await hours(city, 10)
        await city.post(meter(10))
        for minute in range(11, 17):
            await hours(city, minute)
            assert await city.states() == []
        await hours(city, 17)
        (alert,) = await city.alerts()
        assert (alert["state"], alert["started_at"], alert["source"]) == ("firing", tick(16), "/test")
        assert json.loads(alert["value"]) == {"silent_s": 340.0}
        await city.post(meter(17))
        await city.work()
        assert await city.states() == [("meter-1", "resolved")]
        await hours(city, 40)
        assert await city.states() == [("meter-1", "resolved"), ("meter-1", "firing")]
        await hours(city, 120)
        assert await city.log(settled=True) == [
            ("meter-1", "firing", tick(16)), ("meter-1", "resolved", tick(18)), ("meter-1", "firing", tick(23))
        ]  # fmt: skip


async def test_a_late_reading_retracts_a_silence(database: str) -> None:
    async with alerting(database, SILENT) as city:
        await hours(city, 10)
        await city.post(meter(10))
        await hours(city, 20)
        assert await city.states() == [("meter-1", "firing")]
        await city.post(*(meter(minute) for minute in range(11, 20)))
        await city.work()
        assert await city.states() == [("meter-1", "retracted")]
        assert await city.intents() == [("meter-1", "firing"), ("meter-1", "resolved")]


async def test_many_that_fall_silent_together_are_one_alert_besides(database: str) -> None:
    async with alerting(database, SILENT) as city:
        await hours(city, 10)
        await city.post(*(meter(10, f"meter-{n}") for n in range(6)))
        await hours(city, 20)
        rows = await city.alerts()
        assert sorted((row["rule"], row["scope"]) for row in rows if row["rule"] != "meter_silent") == [
            ("source_silent", "source:/test"), ("source_silent", f"street:{GRIDS[0][:9]}")
        ]  # fmt: skip
        assert len(rows) == 8
        await city.post(*(meter(20, f"meter-{n}") for n in range(6)))
        await hours(city, 23)
        assert {row["state"] for row in await city.alerts()} == {"resolved"}


async def test_rules_of_areas_see_all_that_is_beneath(database: str) -> None:
    rule = FULL | {"per": "street", "when": "value >= 0.9 and subjects >= 2", "clear": "value < 0.8", "window": "2m"}
    async with alerting(database, rule) as city:
        await hours(city, 10)
        await city.post(lot(10, 97), lot(10, 96, "lot-2", area=GRIDS[1]))
        await city.work()
        assert await city.states() == [(GRIDS[0][:9], "firing")]
        await city.post(lot(11, 10), lot(11, 10, "lot-2", area=GRIDS[1]), lot(12, 10), lot(12, 10, "lot-2", area=GRIDS[1]))
        await hours(city, 15)
        assert await city.states() == [(GRIDS[0][:9], "resolved")]


async def test_no_data_keeps_resolves_or_fires(database: str) -> None:
    rules = [FULL | {"rule": how, "no_data": how} for how in ("keep", "ok", "fire")]
    async with alerting(database, *rules) as city:
        await hours(city, 10)
        await city.post(lot(10, 97), lot(10, 10, "lot-free"))
        await hours(city, 20)
        found = {(row["rule"], row["subject"]): row["state"] for row in await city.alerts()}
        assert found == {
            ("keep", "lot-1"): "firing", ("ok", "lot-1"): "resolved", ("fire", "lot-1"): "firing", ("fire", "lot-free"): "firing"
        }  # fmt: skip


async def test_our_own_downtime_is_nobodys_silence(database: str) -> None:
    rules = (SILENT, *(FULL | {"rule": how, "no_data": how} for how in ("ok", "fire")))
    async with alerting(database, *rules) as city:
        await hours(city, 10)
        await city.post(meter(10), lot(10, 97))
        await hours(city, 11)
        city.now = at(611)
        await city.city.beat(city.now)
        await city.work()
        assert {(row["rule"], row["state"]) for row in await city.alerts()} == {("ok", "firing"), ("fire", "firing")}
        assert await city.pool.fetchval("select final_through from alert_progress") == tick(610)
        await hours(city, 620)
        assert {(row["rule"], row["state"]) for row in await city.alerts()} == {
            ("ok", "resolved"), ("fire", "firing"), ("meter_silent", "firing")
        }  # fmt: skip


async def test_an_asset_that_was_seen_in_two_areas_is_one_scope(database: str) -> None:
    rule = FULL | {"window": "5m", "when": "count >= 4", "clear": "count < 2"}
    async with alerting(database, rule) as city:
        await hours(city, 10)
        await city.post(lot(10, 1), lot(10.4, 1), lot(11, 1, area=GRIDS[5]), lot(11.4, 1, area=GRIDS[5]))
        await city.work()
        (alert,) = await city.alerts()
        assert (alert["state"], alert["area"], json.loads(alert["value"])["count"]) == ("firing", GRIDS[5], 4)


async def test_expected_counts_what_is_due(database: str) -> None:
    rule = FULL | {"window": "10m", "when": "count < expected * 0.5", "early": False}
    roster = f"subject,type,area,every\nlot-1,parking.occupancy,{GRIDS[0]},1m\n"
    async with alerting(database, rule, roster=roster) as city:
        await hours(city, 10)
        await city.post(*(lot(minute, 1) for minute in range(10, 30)), *(lot(minute, 1, "lot-2") for minute in range(10, 30)))
        await hours(city, 30)
        assert [row["started_at"] for row in await city.alerts()] == [tick(11)]
        await hours(city, 40)
        assert await city.states() == [("lot-1", "resolved"), ("lot-1", "firing")]
