"""Notification with the real database: who is told what, once, and why others are not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from citybrain.rulebook.model import LoadedRules, RuleBook
from citybrain_schemas.instants import format_time
from notifying import BASE, LEFT, RIGHT, escalation, notifying, route, rule

S = timedelta(seconds=1)
FIRING, RESOLVED, UPDATED = "alert.firing", "alert.resolved", "alert.updated"


async def test_alert_is_told_once_when_it_fires_and_once_when_it_ends(database: str) -> None:
    async with notifying(database) as city:
        alert = await city.fire()
        await city.step()
        await city.step(S)
        assert await city.notices() == [(FIRING, ("lot-1",))]
        await city.end(alert)
        await city.step(S)
        await city.step(S)
        firing, resolved = await city.webhooks()
        assert (resolved.type, resolved.data.alert.state, resolved.data.alert.id) == (RESOLVED, "resolved", str(alert))
        assert resolved.data.alert.sequence > firing.data.alert.sequence
        assert (firing.data.group.firing, firing.data.group.resolved) == (1, 0)
        assert (resolved.data.group.firing, resolved.data.group.resolved) == (0, 1)
        assert await city.outcomes() == [("firing", "sent"), ("resolved", "sent")]
        assert [kind for kind, _ in await city.log(alert)] == ["firing", "notified", "resolved", "notified"]
        assert await city.pool.fetchval("select count(*) from notification_group") == 0
        assert len(city.told) == 2


async def test_webhook_has_the_shape_of_the_contract(database: str) -> None:
    async with notifying(database) as city:
        alert = await city.fire()
        await city.step()
        body = (await city.webhooks())[0]
        told = body.data.alert
        assert (body.type, told.rule, told.severity, told.state, told.subject) == (
            FIRING,
            "lot_full",
            "warning",
            "firing",
            "lot-1",
        )
        assert told.area.code == LEFT
        assert told.area.path[0] == LEFT
        assert (told.labels, told.value, told.threshold) == ({"team": "traffic"}, {"last": 0.97, "count": 1}, "last >= 0.95")
        assert set(told.summary) == {"en", "zh"}
        assert told.evidence.events == ["e1"]
        assert told.links is not None
        assert told.links.self == f"{BASE}/v1/alerts/{alert}"
        assert told.links.acknowledge == f"{BASE}/v1/alerts/{alert}/acknowledge"
        row = await city.pool.fetchrow("select * from delivery")
        assert row is not None
        assert row["webhook_id"] == f"msg_{row['delivery_id'].hex}"
        assert (row["alert_ids"], row["state"], row["made_at"]) == ([alert], "waiting", city.now)
        assert format_time(body.timestamp) == format_time(city.now)


async def test_group_waits_then_tells_all_at_once_then_keeps_its_interval(database: str) -> None:
    routes = [route(group_by=("rule",), group_wait=10 * S, group_interval=60 * S)]
    async with notifying(database, routes) as city:
        await city.fire("lot-1")
        await city.step()
        await city.step(S)
        await city.fire("lot-2", area=RIGHT)
        await city.step(8 * S)
        assert await city.notices() == []
        await city.step(S)
        assert await city.notices() == [(FIRING, ("lot-2", "lot-1"))]
        await city.fire("lot-3")
        await city.step(59 * S)
        assert len(await city.notices()) == 1
        await city.step(S)
        assert (await city.notices())[1:] == [(FIRING, ("lot-3",))]
        assert (await city.webhooks())[-1].data.group.firing == 3


async def test_one_webhook_tells_of_one_kind_of_transition(database: str) -> None:
    async with notifying(database) as city:
        first = await city.fire("lot-1")
        await city.step()
        await city.fire("lot-2")
        await city.end(first)
        await city.step(S)
        assert sorted((await city.notices())[1:]) == [(FIRING, ("lot-2",)), (RESOLVED, ("lot-1",))]
        assert (await city.webhooks())[-1].data.group.model_dump(include={"firing", "resolved"}) == {"firing": 1, "resolved": 1}


async def test_more_than_fifty_alerts_are_listed_by_severity_and_counted(database: str) -> None:
    async with notifying(database) as city:
        for n in range(55):
            await city.fire(f"lot-{n}", severity="critical" if n == 7 else "info")
        await city.step()
        (body,) = await city.webhooks()
        assert (len(body.data.alerts), body.data.truncated, body.data.group.firing) == (50, 5, 55)
        assert body.data.alert.subject == "lot-7"
        assert set(await city.outcomes()) == {("firing", "sent")}


async def test_alert_that_fired_and_ended_before_it_was_told_is_told_both(database: str) -> None:
    async with notifying(database, [route(group_wait=10 * S)]) as city:
        alert = await city.fire(late_by_s=21600)
        await city.end(alert)
        await city.step()
        await city.step(10 * S)
        firing, resolved = await city.webhooks()
        assert [(one.type, one.data.alert.state) for one in (firing, resolved)] == [(FIRING, "firing"), (RESOLVED, "resolved")]
        assert firing.data.alert.late_by_s == 21600
        assert firing.data.alert.sequence < resolved.data.alert.sequence


async def test_alert_that_was_retracted_before_it_was_told_is_never_told(database: str) -> None:
    async with notifying(database, [route(group_wait=10 * S)]) as city:
        alert = await city.fire()
        await city.step()
        await city.end(alert, "retracted")
        await city.step(10 * S)
        assert await city.notices() == []
        assert await city.outcomes() == [("firing", "superseded"), ("resolved", "superseded")]


async def test_retraction_of_what_was_told_is_told(database: str) -> None:
    async with notifying(database) as city:
        alert = await city.fire()
        await city.step()
        await city.end(alert, "retracted")
        await city.step(S)
        assert (await city.webhooks())[1].data.alert.state == "retracted"


async def test_what_still_fires_is_told_again_unless_somebody_has_it_in_hand(database: str) -> None:
    async with notifying(database, [route(repeat_interval=timedelta(hours=1))]) as city:
        await city.fire("lot-1")
        mine = await city.fire("lot-2")
        await city.step()
        await city.pool.execute("update alert set handling = 'acknowledged', handled_by = 'ann' where alert_id = $1", mine)
        await city.step(timedelta(minutes=59))
        assert len(await city.notices()) == 1
        await city.step(timedelta(minutes=1))
        assert (await city.notices())[1:] == [(UPDATED, ("lot-1",))]
        await city.step(timedelta(hours=1))
        assert (await city.notices())[2:] == [(UPDATED, ("lot-1",))]


async def test_first_route_that_matches_wins_unless_it_continues(database: str) -> None:
    routes = [
        route(["water"], match={"team": "water"}),
        route(["log"], match={"area": LEFT[:6]}, proceed=True),
        route(["duty"], match={"severity": "warning"}),
        route(["never"]),
    ]
    async with notifying(database, routes) as city:
        for name in ("water", "log", "never"):
            await city.endpoint(name)
        alert = await city.fire()
        await city.step()
        rows = await city.pool.fetch("select e.name from delivery join endpoint e using (endpoint_id) order by 1")
        assert [row["name"] for row in rows] == ["duty", "log"]
        assert await city.outcomes(alert) == [("firing", "sent")]


async def test_alert_without_a_route_goes_to_default_endpoints_or_says_so(database: str) -> None:
    async with notifying(database, [route(match={"team": "water"})]) as city:
        alert = await city.fire("lot-1")
        await city.step()
        assert await city.outcomes() == [("firing", "no_route")]
        assert [kind for kind, _ in await city.log(alert)] == ["firing", "not_notified"]
        await city.end(alert)
        await city.endpoint("all", default=True)
        second = await city.fire("lot-2")
        await city.step(timedelta(minutes=1))
        await city.step(timedelta(minutes=1))
        assert await city.notices() == [(FIRING, ("lot-2",))]
        assert await city.outcomes(second) == [("firing", "sent")]


async def test_silenced_alert_is_told_when_the_silence_ends_and_it_still_fires(database: str) -> None:
    async with notifying(database) as city:
        silence = await city.silence({"rule": "lot_full", "team": "traffic"})
        alert, brief = await city.fire("lot-1"), await city.fire("lot-2")
        loop = city.flusher()
        await city.step(flusher=loop)
        assert await city.notices() == []
        assert await city.outcomes() == [("firing", "silenced")] * 2
        kind, detail = (await city.log(alert))[-1]
        assert (kind, detail["outcome"], detail["silence"], detail["why"]) == ("not_notified", "silenced", str(silence), "works")
        await city.end(brief)
        await city.step(S, loop)
        assert await city.outcomes(brief) == [("firing", "silenced"), ("resolved", "superseded")]
        await city.step(timedelta(minutes=58), loop)
        assert await city.notices() == []
        await city.step(timedelta(minutes=1), loop)
        assert await city.notices() == []
        await city.step(59 * S, loop)
        assert await city.notices() == [(FIRING, ("lot-1",))]
        assert await city.outcomes(alert) == [("firing", "sent")]


async def test_end_of_what_was_told_and_then_silenced_is_told(database: str) -> None:
    async with notifying(database) as city:
        alert = await city.fire()
        await city.step()
        await city.silence({"subject": "lot-1"})
        await city.update(alert)
        await city.step(S)
        assert await city.outcomes() == [("firing", "sent"), ("updated", "silenced")]
        await city.end(alert)
        await city.step(S)
        assert await city.notices() == [(FIRING, ("lot-1",)), (RESOLVED, ("lot-1",))]


async def test_silence_until_resolved_ends_with_the_last_of_its_alerts(database: str) -> None:
    async with notifying(database) as city:
        silence = await city.silence({"rule": "lot_full", "area": LEFT[:6]}, until_resolved=True)
        first, second = await city.fire("lot-1"), await city.fire("lot-2")
        await city.step()
        await city.end(first)
        await city.step(S)
        ended = "select ended_at from silence where silence_id = $1"
        assert await city.pool.fetchval(ended, silence) is None
        await city.end(second)
        await city.step(S)
        assert await city.pool.fetchval(ended, silence) == city.now
        await city.fire("lot-1")
        await city.step(S)
        assert await city.notices() == [(FIRING, ("lot-1",))]


async def test_inhibited_alert_is_told_when_the_inhibitor_has_ended(database: str) -> None:
    rules = [rule("main_burst", {"lot_full": ["street"]}), rule("lot_full")]
    async with notifying(database, rules=rules) as city:
        burst = await city.fire("pipe-1", "main_burst", LEFT)
        alert = await city.fire("lot-1", area=RIGHT)  # another grid of the same street
        loop = city.flusher()
        await city.step(flusher=loop)
        assert await city.notices() == [(FIRING, ("pipe-1",))]
        assert await city.outcomes(alert) == [("firing", "inhibited")]
        assert (await city.log(alert))[-1][1]["alert"] == str(burst)
        await city.end(burst)
        await city.step(2 * S, loop)
        assert set((await city.notices())[1:]) == {(RESOLVED, ("pipe-1",)), (FIRING, ("lot-1",))}


async def test_source_silent_inhibits_absence_alerts_of_its_source(database: str) -> None:
    async with notifying(database, rules=[rule("meter_silent")]) as city:
        await city.fire(None, "source_silent", LEFT[:6], source="/gateway-7", scope="source:/gateway-7")
        of_it = await city.fire("meter-1", "meter_silent", source="/gateway-7")
        other = await city.fire("meter-2", "meter_silent", source="/gateway-8")
        await city.step()
        assert await city.outcomes(of_it) == [("firing", "inhibited")]
        assert await city.outcomes(other) == [("firing", "sent")]


async def test_closed_alert_is_not_told_and_says_so(database: str) -> None:
    async with notifying(database, [route(group_wait=10 * S)]) as city:
        alert = await city.fire()
        await city.pool.execute("update alert set handling = 'closed', handled_by = 'ann' where alert_id = $1", alert)
        await city.step()
        await city.step(10 * S)
        assert await city.outcomes() == [("firing", "muted")]
        await city.update(alert, handling="open", severity="critical")
        await city.step(2 * S)
        assert await city.notices() == [(FIRING, ("lot-1",))]
        assert await city.outcomes() == [("firing", "sent"), ("updated", "sent")]


async def test_disabled_endpoint_is_left_out_and_recorded(database: str) -> None:
    async with notifying(database, [route(["duty", "gone", "nobody"])]) as city:
        gone = await city.endpoint("gone")
        await city.pool.execute("update endpoint set disabled_at = now() where endpoint_id = $1", gone)
        alert = await city.fire()
        await city.step()
        detail = (await city.log(alert))[-1][1]
        assert (detail["endpoints"], detail["left_out"]) == (["duty"], {"gone": "disabled", "nobody": "unknown"})


async def test_alert_whose_endpoints_are_all_disabled_is_told_when_one_works_again(database: str) -> None:
    async with notifying(database) as city:
        await city.pool.execute("update endpoint set disabled_at = now()")
        alert = await city.fire()
        loop = city.flusher()
        await city.step(flusher=loop)
        assert await city.outcomes(alert) == [("firing", "no_route")]
        await city.pool.execute("update endpoint set disabled_at = null")
        await city.step(2 * S, loop)
        assert await city.notices() == [(FIRING, ("lot-1",))]
        await city.pool.execute("update endpoint set disabled_at = now()")
        await city.end(alert)
        await city.step(S, loop)
        assert await city.outcomes(alert) == [("firing", "sent"), ("resolved", "no_route")]


async def test_alert_that_nobody_acknowledges_is_escalated_once_a_level(database: str) -> None:
    routes = [route(escalate=(escalation(900 * S, "chief"), escalation(1800 * S, "mayor")))]
    async with notifying(database, routes) as city:
        await city.endpoint("chief")
        await city.endpoint("mayor")
        alert, calm = await city.fire("lot-1"), await city.fire("lot-2")
        await city.step()
        await city.pool.execute("update alert set handling = 'acknowledged' where alert_id = $1", calm)
        await city.step(900 * S)
        await city.step(60 * S)
        assert (await city.notices())[1:] == [("alert.escalated", ("lot-1",))]
        await city.step(840 * S)
        assert (await city.notices())[2:] == [("alert.escalated", ("lot-1",))]
        names = "select e.name from delivery join endpoint e using (endpoint_id) where type = 'alert.escalated' order by name"
        assert [row["name"] for row in await city.pool.fetch(names)] == ["chief", "mayor"]
        assert await city.pool.fetchval("select escalated from alert where alert_id = $1", alert) == 2
        assert await city.outcomes(alert) == [("firing", "sent"), ("escalated", "sent"), ("escalated", "sent")]
        assert [kind for kind, _ in await city.log(alert)] == ["firing", "notified", "escalated", "escalated"]


async def test_rise_in_severity_reaches_the_route_that_now_matches(database: str) -> None:
    routes = [route(["chief"], match={"severity": "critical"}), route()]
    async with notifying(database, routes) as city:
        await city.endpoint("chief")
        alert = await city.fire()
        await city.step()
        await city.update(alert, severity="critical")
        await city.step(S)
        assert sorted((await city.notices())[1:]) == [(FIRING, ("lot-1",)), (UPDATED, ("lot-1",))]
        await city.end(alert)
        await city.step(S)
        assert (await city.notices())[3:] == [(RESOLVED, ("lot-1",))] * 2


async def test_end_reaches_those_who_were_told_though_the_route_is_gone(database: str) -> None:
    async with notifying(database) as city:
        alert = await city.fire()
        await city.step()
        city.rules = LoadedRules(2, RuleBook())
        await city.end(alert)
        await city.step(S)
        assert (await city.notices())[1:] == [(RESOLVED, ("lot-1",))]


async def test_two_processes_make_one_delivery(database: str) -> None:
    async with notifying(database) as city:
        loops = [city.flusher(), city.flusher(owner=UUID(int=2))]
        for n in range(20):
            await city.fire(f"lot-{n}", rule=f"rule_{n}")
            await asyncio.gather(*(loop.step() for loop in loops))
        await city.step(S, loops[0])
        assert sorted(await city.notices()) == sorted((FIRING, (f"lot-{n}",)) for n in range(20))


async def test_standby_goes_on_when_the_lease_is_given_up(database: str) -> None:
    async with notifying(database) as city:
        first, second = city.flusher(), city.flusher(owner=UUID(int=2))
        await city.step(flusher=first)
        await city.fire()
        await city.step(flusher=second)
        assert await city.notices() == []
        await first._lease.give_up(city.pool)
        await city.step(flusher=second)
        assert await city.notices() == [(FIRING, ("lot-1",))]
