"""`/v1/alerts` and `/v1/silences` over HTTP, with alerts that the test writes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from alerting import FULL, alerting, written
from citybrain.access import Role
from citybrain.store.rule_sets import put_rule_set
from citybrain_schemas.alerts import Alert, AlertWithLog
from citybrain_schemas.instants import format_time
from notifying import BEGIN, LEFT, RIGHT, Notifying, notifying
from reading import Answer, Reading, reading
from records import minutes_later, occupancy, records
from records import small_city as city_of_records
from small_city import small_city

HOUR = timedelta(hours=1)


@dataclass
class Desk:
    """The API, and the alerts that it shows."""

    reading: Reading
    alerts: Notifying

    async def send(self, method: str, path: str, body: object = None, role: Role = Role.OPERATOR) -> Answer:
        headers = {"Authorization": f"Bearer {self.reading.keys[role]}"}
        async with self.reading.session.request(method, self.reading.address + path, json=body, headers=headers) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())

    async def subjects(self, **query: object) -> list[str]:
        return [one["subject"] for one in await self.reading.every("/v1/alerts", **query)]


@asynccontextmanager
async def desk(dsn: str) -> AsyncIterator[Desk]:
    async with reading(dsn, small_city(), BEGIN) as api, notifying(dsn) as alerts:
        yield Desk(api, alerts)


async def test_alerts_are_listed_and_filtered(database: str) -> None:
    async with desk(database) as city:
        one = await city.alerts.fire("lot-1", severity="critical")
        city.alerts.now += HOUR
        await city.alerts.fire("lot-2", "lot_empty", RIGHT)
        await city.alerts.fire("lot-3", state="pending", rule="lot_odd")
        city.alerts.now += HOUR
        await city.alerts.end(one)
        assert await city.subjects() == ["lot-2", "lot-1"]
        assert await city.subjects(state="pending") == ["lot-3"]
        assert await city.subjects(state="resolved") == ["lot-1"]
        assert await city.subjects(severity="critical") == ["lot-1"]
        assert await city.subjects(rule="lot_empty") == ["lot-2"]
        assert await city.subjects(area=RIGHT) == ["lot-2"]
        assert await city.subjects(area=LEFT[:12]) == ["lot-2", "lot-1"]
        assert await city.subjects(rule="' or 1=1 --") == []
        item = (await city.reading.get("/v1/alerts")).json["items"][1]
        alert = Alert.model_validate(item)
        assert (alert.id, alert.state, alert.ended_at) == (str(one), "resolved", city.alerts.now)
        assert item["links"]["self"] == f"/v1/alerts/{one}"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"state": "odd"}, 422),
        ({"severity": "odd"}, 422),
        ({"area": "999"}, 404),
        ({"limit": 0}, 422),
        ({"cursor": "garbage"}, 422),
        ({"cursor": "WyJhIl0"}, 422),
    ],
)
async def test_wrong_filter_is_refused(database: str, query: dict[str, Any], status: int) -> None:
    async with desk(database) as city:
        answer = await city.reading.get("/v1/alerts", **query)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_pages_are_stable_while_alerts_open_and_end(database: str) -> None:
    async with desk(database) as city:
        ids = []
        for n in range(7):
            ids.append(await city.alerts.fire(f"lot-{n}"))
            city.alerts.now += timedelta(seconds=n % 2)  # some opened at the same time
        before = await city.subjects()
        found: list[str] = []
        cursor = None
        while True:
            answer = (await city.reading.get("/v1/alerts", limit=2, cursor=cursor)).json
            found += [one["subject"] for one in answer["items"]]
            cursor = answer["next"]
            if cursor is None:
                break
            await city.alerts.fire(f"lot-new-{len(found)}")
            await city.alerts.pool.execute("update alert set changed_at = now(), sequence = sequence + 1")
        assert found == before


async def test_alert_has_its_log_and_an_etag(database: str) -> None:
    async with desk(database) as city:
        alert = await city.alerts.fire()
        await city.alerts.step()
        path = f"/v1/alerts/{alert}"
        answer = await city.reading.get(path)
        shown = AlertWithLog.model_validate(answer.json)
        assert [entry.kind for entry in shown.log] == ["firing", "notified"]
        assert shown.log[1].detail["endpoints"] == ["duty"]
        assert shown.evidence.events == ["e1"]
        assert shown.handling.state == "open"
        same = await city.reading.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (same.status, same.body) == (304, b"")
        await city.alerts.end(alert)
        assert (await city.reading.get(path, headers={"If-None-Match": answer.headers["etag"]})).status == 200


async def test_an_event_leads_to_the_alerts_that_name_it_however_many_others_there_are(database: str) -> None:
    async with desk(database) as city:
        bins = FULL | {"rule": "bin_full", "metric": "bin.level", "when": "last >= 95", "clear": "last < 85"}
        async with city.alerts.pool.acquire() as connection, connection.transaction():
            version = await put_rule_set(connection, written([FULL, bins]), "test")
        at = BEGIN - timedelta(seconds=30)
        cars = [occupancy("e1", at, 99, subject="lot-1", area=LEFT, source=source) for source in ("/a", "/b", "/c")]
        await city.reading.pipeline.post(records(cars))
        await city.reading.pipeline.drain()
        evidence = {"window": {"start": format_time(at), "end": format_time(BEGIN)}}
        named = {"events": ["e1", "e1"], "sources": ["/b", "/a"]}

        async def fire(rule: str, n: int, **says: list[str]) -> str:
            told = json.dumps(evidence | says)
            return str(await city.alerts.fire("lot-1", rule, scope=f"subject:{rule}-{n}", rule_version=version, evidence=told))

        async def went(source: str) -> list[tuple[str, bool]]:
            answer = (await city.reading.get("/v1/event", source=source, id="e1")).json
            assert {one["rule"] for one in answer["alerts"]} == {"lot_full"}
            return [(one["id"], one["named"]) for one in answer["alerts"] if one["named"] or one["id"] == old]

        for n in range(120):
            await fire("bin_full", n, events=["level"], sources=["/bin"])
            await fire("lot_full", n, events=["other"], sources=["/a"])
        city.alerts.now += HOUR
        old = await fire("lot_full", 200, events=["e1"])  # of a version that kept no sources
        alert = await fire("lot_full", 201, **named)
        assert set(await went("/a")) == set(await went("/b")) == {(alert, True), (old, True)}
        assert set(await went("/c")) == {(old, True)}


async def test_alerts_of_one_pass_are_listed_by_tick_then_by_rule_and_scope_the_last_first(database: str) -> None:
    lots = [f"lot-{n}" for n in range(6)]
    full = FULL | {"early": False}
    async with alerting(database, full, full | {"rule": "almost_full", "when": "last >= 0.9"}) as city:
        await city.until(minutes_later(5))
        await city.work()
        events = [
            occupancy(f"{minute}-{lot}", minutes_later(minute, 30), occupied, subject=lot)
            for minute, occupied in ((6, 99), (7, 10), (8, 97))
            for lot in reversed(lots)
        ]
        await city.post(*events)
        await city.until(minutes_later(20))
        await city.work()
        assert len({row[0] for row in await city.pool.fetch("select opened_at from alert")}) == 1
        async with reading(database, city_of_records()) as api:
            listed = await api.every("/v1/alerts", limit=5)
    found = [(one["started_at"], one["rule"], one["subject"]) for one in reversed(listed)]
    ticks = [format_time(minutes_later(minute)) for minute in (7, 9)]
    assert found == [(tick, rule, lot) for tick in ticks for rule in ("almost_full", "lot_full") for lot in lots]


async def test_unknown_alert_is_404(database: str) -> None:
    async with desk(database) as city:
        for identity in ("none", "no-such-alert", str(uuid4()), "1' or '1'='1"):
            assert (await city.reading.get(f"/v1/alerts/{identity}")).status == 404
            for act in ("acknowledge", "unacknowledge", "close"):
                assert (await city.send("POST", f"/v1/alerts/{identity}/{act}", {})).status == 404
            assert (await city.send("POST", f"/v1/alerts/{identity}/comment", {"comment": "x"})).status == 404


async def test_handling_is_asked_of_the_alert_role(database: str) -> None:
    async with desk(database) as city:
        alert = await city.alerts.fire()
        path = f"/v1/alerts/{alert}"
        until = BEGIN + HOUR
        acts: list[tuple[str, object]] = [
            ("acknowledge", {"comment": "on my way", "until": format_time(until)}),
            ("comment", {"comment": "looks bad"}),
            ("unacknowledge", None),
            ("close", {}),
        ]
        for act, body in acts:
            answer = await city.send("POST", f"{path}/{act}", body)
            assert answer.status == 202, answer.body
            assert answer.json["id"] == str(alert)
        rows = await city.alerts.pool.fetch("select kind, by, comment, until, alert_id from command order by command_no")
        name = f"test {Role.OPERATOR}"
        assert [tuple(row) for row in rows] == [
            ("acknowledge", name, "on my way", until, alert),
            ("comment", name, "looks bad", None, alert),
            ("unacknowledge", name, None, None, alert),
            ("close", name, None, None, alert),
        ]


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("comment", {}),
        ("comment", None),
        ("acknowledge", {"until": "2020-01-01T00:00:00Z"}),
        ("acknowledge", {"until": "tomorrow"}),
        ("close", {"until": "2026-11-24T00:00:00Z"}),
        ("acknowledge", {"coment": "x"}),
        ("acknowledge", {"comment": "x" * 1025}),
        ("acknowledge", {"comment": "a\x00b"}),
        ("acknowledge", []),
    ],
)
async def test_handling_of_another_form_is_refused(database: str, act: str, body: object) -> None:
    async with desk(database) as city:
        alert = await city.alerts.fire()
        answer = await city.send("POST", f"/v1/alerts/{alert}/{act}", body)
        assert answer.status == 422, answer.body
        assert await city.alerts.pool.fetchval("select count(*) from command") == 0


async def test_viewer_reads_and_handles_nothing(database: str) -> None:
    async with desk(database) as city:
        alert = await city.alerts.fire()
        asked: list[tuple[str, str, object]] = [("POST", f"/v1/alerts/{alert}/{act}", {}) for act in ("acknowledge", "close")]
        asked += [("POST", f"/v1/alerts/{alert}/comment", {"comment": "x"}), ("POST", "/v1/silences", {})]
        asked += [("DELETE", "/v1/silences/none", None)]
        for method, path, body in asked:
            assert (await city.send(method, path, body, Role.VIEWER)).status == 403
            assert (await city.send(method, path, body, Role.INGEST)).status == 403
        assert (await city.reading.get("/v1/alerts", Role.INGEST)).status == 403
        assert (await city.reading.get("/v1/silences", None)).status == 401


def silence(**changed: object) -> dict[str, object]:
    asked: dict[str, object] = {
        "matchers": {"rule": "lot_full"},
        "from": format_time(BEGIN - HOUR),
        "until": format_time(BEGIN + HOUR),
        "by": "ann",
        "why": "works",
    }
    return {name: value for name, value in (asked | changed).items() if value is not None}


async def test_silence_is_made_listed_shown_and_ended(database: str) -> None:
    async with desk(database) as city:
        made = await city.send("POST", "/v1/silences", silence())
        assert made.status == 201, made.body
        shown = made.json
        assert (shown["state"], shown["by"], shown["why"]) == ("active", "ann", "works")
        assert (shown["from"], shown["until"]) == (format_time(BEGIN - HOUR), format_time(BEGIN + HOUR))
        assert await city.reading.every("/v1/silences") == [shown]
        one = await city.reading.get(f"/v1/silences/{shown['id']}")
        assert one.json == shown
        assert "etag" in one.headers
        alert = await city.alerts.fire()
        await city.alerts.step()
        assert await city.alerts.outcomes(alert) == [("firing", "silenced")]
        for _ in range(2):
            assert (await city.send("DELETE", f"/v1/silences/{shown['id']}")).status == 204
        assert (await city.reading.get(f"/v1/silences/{shown['id']}")).json["state"] == "ended"
        await city.alerts.step(2 * timedelta(seconds=1))
        assert await city.alerts.notices() == [("alert.firing", ("lot-1",))]


async def test_silence_until_resolved_needs_no_end_and_names_the_key(database: str) -> None:
    async with desk(database) as city:
        answer = await city.send("POST", "/v1/silences", silence(until=None, until_resolved=True, by=None, **{"from": None}))
        assert answer.status == 201, answer.body
        assert answer.json["by"] == f"test {Role.OPERATOR}"
        assert answer.json["from"] == format_time(BEGIN)
        assert answer.json["until"] == format_time(BEGIN + timedelta(days=30))


@pytest.mark.parametrize(
    "changed",
    [
        {"matchers": None},
        {"matchers": {}},
        {"matchers": {"area": "999"}},
        {"matchers": {"severity": "odd"}},
        {"matchers": {"rule": 1}},
        {"matchers": ["rule"]},
        {"matchers": {f"label-{n}": "x" for n in range(21)}},
        {"until": None},
        {"until": format_time(BEGIN - timedelta(minutes=1))},
        {"until": "2026-11-23T01:00:00"},
        {"why": None},
        {"why": ""},
        {"surprise": 1},
    ],
)
async def test_silence_of_another_form_is_refused(database: str, changed: dict[str, Any]) -> None:
    async with desk(database) as city:
        answer = await city.send("POST", "/v1/silences", silence(**changed))
        assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json"), answer.body
        assert await city.reading.every("/v1/silences") == []


async def test_silences_come_in_pages_and_unknown_ones_are_404(database: str) -> None:
    async with desk(database) as city:
        for n in range(5):
            assert (await city.send("POST", "/v1/silences", silence(why=f"works {n}"))).status == 201
        first = (await city.reading.get("/v1/silences", limit=2)).json
        assert len(first["items"]) == 2
        assert len({one["id"] for one in await city.reading.every("/v1/silences", limit=2)}) == 5
        for identity in ("none", str(UUID(int=7)), json.dumps({})):
            assert (await city.send("DELETE", f"/v1/silences/{identity}")).status == 404
            assert (await city.reading.get(f"/v1/silences/{identity}")).status == 404
