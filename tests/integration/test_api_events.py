"""Events, conflicts, areas, status, and what every reading route has in common."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from citybrain.access import Role
from reading import reading
from records import CITY, DISTRICTS, GRIDS, T0, accepted, minutes_later, occupancy, records, register, small_city
from records import reading as said

READABLE = (
    "/v1/status", "/v1/areas", f"/v1/areas/{CITY}", "/v1/areas.geojson?level=grid", "/v1/events", "/v1/conflicts", "/v1/assets",
    f"/v1/series?metric=parking.occupied&area={CITY}&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&step=1h",
)  # fmt: skip


async def test_an_event_tells_what_it_said_and_which_windows_it_feeds(database: str) -> None:
    async with reading(database, small_city()) as city:
        one = occupancy(
            "编号 1", minutes_later(61.5), 3, 4, given_area=DISTRICTS[0], flags=["outside_area"], source="https://a/b?c#d"
        )
        other = occupancy("编号 1", T0, 9, 4, source="https://a/b?c#d")
        await city.pipeline.post(records([one]))
        await city.pipeline.drain()
        await city.pipeline.post(records([other, register("r", T0, 5)]))
        await city.pipeline.drain()
        answer = await city.get("/v1/event", source="https://a/b?c#d", id="编号 1")
        found = answer.json
        names = ("source", "id", "type", "time", "subject", "area", "given_area", "data", "flags")
        assert {name: found[name] for name in names} == {
            "source": "https://a/b?c#d", "id": "编号 1", "type": "parking.occupancy", "time": "2026-03-01T01:01:30.000000Z",
            "subject": "lot-1", "area": GRIDS[0], "given_area": DISTRICTS[0], "data": {"occupied": 3, "capacity": 4},
            "flags": ["outside_area"],
        }  # fmt: skip
        starts = {"1m": "2026-03-01T01:01:00.000000Z", "1h": "2026-03-01T01:00:00.000000Z", "1d": "2026-02-28T16:00:00.000000Z"}
        assert found["windows"] == [
            {"metric": metric, "area": GRIDS[0], "subject": "lot-1", "source": None, "start": starts}
            for metric in ("parking.occupied", "parking.occupied_ratio")
        ]
        assert [one["data"]["occupied"] for one in found["conflicts"]] == [9]
        assert [one["id"] for one in await city.every("/v1/conflicts")] == ["编号 1"]
        again = await city.get(
            "/v1/event", headers={"If-None-Match": answer.headers["etag"]}, source="https://a/b?c#d", id="编号 1"
        )
        assert (again.status, again.body) == (304, b"")
        meter = (await city.get("/v1/event", source="/test", id="r")).json  # a first register adds nothing to consumption
        assert [window["metric"] for window in meter["windows"]] == ["water.register"]
        assert (await city.get("/v1/event", source="/test", id="no")).status == 404


async def test_what_is_personal_is_for_operators(database: str) -> None:
    async with reading(database, small_city()) as city:
        await city.pipeline.post(
            records([accepted("p", T0, [said("parking.violations", 1)], type="parking.violation", data={"violation": "kerb"},
                              personal={"plate": "陕J12345"})])
        )  # fmt: skip
        await city.pipeline.drain()
        for role, told in ((Role.VIEWER, False), (Role.OPERATOR, True), (Role.ADMIN, True)):
            found = (await city.get("/v1/event", role, source="/test", id="p")).json
            assert found.get("personal") == ({"plate": "陕J12345"} if told else None)
        assert b"J12345" not in (await city.get("/v1/events", Role.ADMIN)).body


async def test_events_come_newest_first_by_any_filter_each_exactly_once(database: str) -> None:
    dice = random.Random(8)
    rows = [
        occupancy(f"e{n}", minutes_later(dice.randrange(90 * 24 * 6) * 10), n, subject=f"lot-{n % 4}", area=GRIDS[n % 4 * 2])
        for n in range(300)
    ]
    rows += [occupancy(f"same{n}", T0, n, subject="lot-0", source=f"/s{n % 3}") for n in range(30)]
    async with reading(database, small_city(), now=T0 + timedelta(days=900)) as city:
        await city.pipeline.post(records(rows))
        await city.pipeline.drain()
        whole = sorted(rows, key=lambda row: (row["time"], row["source"], row["id"]), reverse=True)
        for limit in (7, 100, 1000):
            assert _ids(await city.every("/v1/events", limit=limit)) == _ids(whole)
        middle = minutes_later(45 * 24 * 60)
        for query, wanted in (
            ({"subject": "lot-1"}, lambda row: row["subject"] == "lot-1"),
            ({"subject": "lot-0", "source": "/s1"}, lambda row: row["source"] == "/s1"),
            ({"source": "/s2"}, lambda row: row["source"] == "/s2"),
            ({"area": DISTRICTS[1]}, lambda row: row["area"].startswith(DISTRICTS[1])),
            ({"from_": middle}, lambda row: row["time"] >= middle.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
            ({"to": middle, "type": "parking.occupancy"}, lambda row: row["time"] < middle.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
            ({"type": "bin.level"}, lambda row: False),
        ):
            assert _ids(await city.every("/v1/events", limit=11, **query)) == _ids(filter(wanted, whole)), query  # type: ignore[arg-type]


def _ids(rows: Any) -> list[str]:
    return [row["id"] for row in rows]


async def test_status_counts_what_was_read_and_what_waits(database: str) -> None:
    async with reading(database, small_city()) as city:
        roles = (await city.get("/v1/status")).json["roles"]
        assert roles["aggregate"] == {"lag": 0, "watermark": None}
        assert roles["rollup"] == {"lag": 0, "final_through": None}
        assert {name: found["lag"] for name, found in roles.items()} == dict.fromkeys(roles, 0)
        one, other = occupancy("a", T0, 1), occupancy("a", T0, 2)
        await city.pipeline.post(records([one, one, other, occupancy("b", T0, 1)]))
        assert (await city.get("/v1/status")).json["roles"]["aggregate"]["lag"] == 4
        while await city.pipeline.worker.step():
            pass
        status = (await city.get("/v1/status")).json
        assert [status[name] for name in ("accepted", "stored", "repeated", "conflicts", "dead")] == [4, 2, 1, 1, 0]
        assert status["roles"]["aggregate"]["lag"] == 0
        assert status["roles"]["rollup"]["lag"] > 0
        await city.pipeline.beat(T0 + timedelta(minutes=5))
        await city.pipeline.drain()
        status = (await city.get("/v1/status")).json
        assert (status["version"], status["mode"], status["roles"]["rollup"]["lag"]) == ("0.0.0", "embedded", 0)
        assert status["roles"]["aggregate"] == {"lag": 0, "watermark": "2026-03-01T00:04:30.000000Z"}


async def test_areas_come_back_as_loaded(database: str) -> None:
    async with reading(database, small_city()) as city:
        listed = await city.every("/v1/areas", limit=5)
        assert [one["code"] for one in listed] == sorted(city.city.areas.codes)
        answer = await city.get(f"/v1/areas/{GRIDS[0]}")
        assert (answer.json["parent"], answer.json["level"], answer.json["path"][-1]) == (GRIDS[0][:12], "grid", CITY)
        same = {"If-None-Match": answer.headers["etag"]}
        assert (await city.get(f"/v1/areas/{GRIDS[0]}", headers=same)).status == 304
        assert (await city.get(f"/v1/areas/{GRIDS[0]}", headers={"If-None-Match": '"another"'})).status == 200
        geometry = await city.get("/v1/areas.geojson", level="district")
        assert geometry.headers["content-type"] == "application/geo+json"
        assert [one["properties"]["code"] for one in geometry.json["features"]] == list(DISTRICTS)


async def test_reading_needs_a_key_that_may_read(database: str) -> None:
    async with reading(database, small_city()) as city:
        for path in READABLE:
            assert (await city.get(path, None)).status == 401
            assert (await city.get(path, Role.INGEST)).status == 403
            assert (await city.get(path, Role.VIEWER)).status == 200


SERIES = {"metric": "parking.occupied", "area": CITY, "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "step": "1h"}
_FORGED = "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwiXHUwMDAwIiwiIl0"  # ["0001-01-01T00:00:00+14:00","\u0000",""]


@pytest.mark.parametrize(
    ("path", "query", "statuses"),
    [
        ("/v1/series", SERIES | {"step": "7m"}, {422}),
        ("/v1/series", SERIES | {"from": "yesterday"}, {422}),
        ("/v1/series", SERIES | {"to": "2026-01-01T00:00:00"}, {422}),
        ("/v1/series", SERIES | {"metric": ""}, {422}),
        ("/v1/series", SERIES | {"metric": "parking.cars"}, {404}),
        ("/v1/series", SERIES | {"area": "999999"}, {404}),
        ("/v1/series", SERIES | {"area": "\x00"}, {422}),
        ("/v1/series", SERIES | {"subject": "\x00"}, {422}),
        ("/v1/series", SERIES | {"cursor": _FORGED}, {422}),
        ("/v1/series", SERIES | {"from": "9999-12-31T23:59:59Z"}, {422}),
        ("/v1/events", {"limit": "0"}, {422}),
        ("/v1/events", {"limit": "many"}, {422}),
        ("/v1/events", {"cursor": "garbage"}, {422}),
        ("/v1/events", {"cursor": _FORGED}, {422}),
        ("/v1/events", {"area": "nowhere"}, {404}),
        ("/v1/conflicts", {"cursor": "WzFd"}, {422}),
        ("/v1/assets", {"silent": "'; drop table event"}, {422}),
        ("/v1/areas", {"level": "hamlet"}, {422}),
        ("/v1/areas/000", {}, {404}),
        ("/v1/areas/%00", {}, {404, 422}),
        ("/v1/event", {"source": "x"}, {422}),
        ("/v1/assets/a%2Fb/holes", {}, {404}),
    ],
)
async def test_a_wrong_question_gets_a_problem(database: str, path: str, query: dict[str, str], statuses: set[int]) -> None:
    async with reading(database, small_city()) as city:
        answer = await city.get(path, **query)  # type: ignore[arg-type]
        assert answer.status in statuses
        assert answer.headers["content-type"] == "application/problem+json"
