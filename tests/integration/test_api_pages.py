"""Every list, page by page, while others write, change what lists are sorted and filtered by, and delete: what was there all the
time comes exactly once, in one order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citybrain.access import Role
from delivering import Delivering, delivering
from notifying import Notifying, notifying
from reading import Reading, reading
from records import CITY, DISTRICTS, GRIDS, T0, minutes_later, occupancy, records, small_city

ROSTER = "subject,type,area,every,valid_from,valid_to\n" + "".join(
    f"lot-{n:02},parking.occupancy,{GRIDS[n % 8]},30m,2026-02-01,\n" for n in range(30)
)
WALKS, BUSY_PAGES = 8, 30
Write = Callable[["Desk"], Awaitable[object]]


@dataclass
class Desk:
    """All that can be listed, and who writes it."""

    reading: Reading
    alerts: Notifying
    sending: Delivering
    dice: random.Random = field(default_factory=random.Random)
    number: int = 0

    def next(self) -> int:
        self.number += 1
        return self.number

    async def execute(self, statement: str, *values: object) -> None:
        await self.alerts.pool.execute(statement, *values)

    async def post(self, *rows: dict[str, Any]) -> None:
        await self.reading.pipeline.post(records(rows))
        await self.reading.pipeline.drain()

    async def one_of(self, table: str, column: str) -> Any:
        found = [row[0] for row in await self.alerts.pool.fetch(f"select {column} from {table} order by 1")]
        return self.dice.choice(found)

    async def page(self, path: str, limit: int, cursor: str | None) -> tuple[list[Any], str | None]:
        name, _, query = path.partition("?")
        asked = dict(one.split("=") for one in query.split("&")) if query else {}
        answer = await self.reading.get(name, Role.ADMIN, limit=limit, cursor=cursor, **asked)
        assert answer.status == 200, answer.body
        assert len(answer.json["items"]) <= limit
        return answer.json["items"], answer.json["next"]

    async def whole(self, path: str) -> list[Any]:
        found, cursor = await self.page(path, 1000, None)
        while cursor is not None:
            items, cursor = await self.page(path, 1000, cursor)
            found += items
        return found


# ---- who writes meanwhile --------------------------------------------------------------------------------------------


async def post_event(city: Desk) -> None:
    n, minute = city.next(), city.dice.randrange(60 * 24 * 9)
    await city.post(occupancy(f"x{n}", minutes_later(minute), n % 90, subject=f"lot-{n % 40:02}", area=city.dice.choice(GRIDS)))


async def post_conflict(city: Desk) -> None:
    await city.post(occupancy(await city.one_of("event", "id"), T0, 1000 + city.next(), 5000))


async def forget_event(city: Desk) -> None:
    await city.execute("delete from event where id = $1", await city.one_of("event", "id"))


async def forget_conflict(city: Desk) -> None:
    await city.execute("delete from event_conflict where fingerprint = (select fingerprint from event_conflict limit 1)")


async def newer_reading(city: Desk) -> None:
    n = city.next()
    await city.post(occupancy(f"n{n}", minutes_later(60 * 24 * 9 + n), n % 90, subject=f"lot-{city.dice.randrange(40):02}"))


async def new_asset(city: Desk) -> None:
    n = city.next()
    await city.post(occupancy(f"n{n}", T0, n % 90, subject=f"{city.dice.choice('amz')}-{n}"))


async def forget_asset(city: Desk) -> None:
    """One that does not come back."""
    await city.execute("delete from asset_state where subject = (select min(subject) from asset_state where subject !~ '^lot')")


async def late_reading(city: Desk) -> None:
    await city.post(occupancy(f"l{city.next()}", minutes_later(city.dice.randrange(60 * 24 * 8)), 7, subject="lot-00"))


async def fire(city: Desk) -> None:
    city.alerts.now += timedelta(seconds=city.dice.randrange(2))
    await city.alerts.fire(f"more-{city.next()}")


async def change_alert(city: Desk) -> None:
    state, severity = city.dice.choice(["firing", "recovering"]), city.dice.choice(["info", "critical"])
    query = "update alert set state = $2, severity = $3, changed_at = now(), sequence = sequence + 1, started_at = now()"
    await city.execute(f"{query} where alert_id = $1", await city.one_of("alert", "alert_id"), state, severity)


async def end_alert(city: Desk) -> None:
    identity = await city.one_of("alert", "alert_id")
    await city.execute("update alert set state = 'resolved', ended_at = now() where alert_id = $1", identity)


async def delete_alert(city: Desk) -> None:
    await city.execute("delete from alert where alert_id = $1", await city.one_of("alert", "alert_id"))


async def silence(city: Desk) -> None:
    await city.alerts.silence({"rule": f"rule-{city.next()}"}, city.dice.random())


async def end_silence(city: Desk) -> None:
    query = "update silence set ended_at = now(), ends = now(), begins = begins - interval '1 hour' where silence_id = $1"
    await city.execute(query, await city.one_of("silence", "silence_id"))


async def delete_silence(city: Desk) -> None:
    await city.execute("delete from silence where silence_id = $1", await city.one_of("silence", "silence_id"))


async def add_endpoint(city: Desk) -> None:
    await city.alerts.endpoint(f"{city.dice.choice('amz')}-{city.next()}")


async def rename_endpoint(city: Desk) -> None:
    query = "update endpoint set name = $2, disabled_at = now() where endpoint_id = $1"
    await city.execute(query, await city.one_of("endpoint", "endpoint_id"), f"{city.dice.choice('amz')}-{city.next()}")


async def remove_endpoint(city: Desk) -> None:
    query = "update endpoint set removed_at = now() where endpoint_id = $1 and name not like '%0'"
    await city.execute(query, await city.one_of("endpoint", "endpoint_id"))


async def put_delivery(city: Desk) -> None:
    await city.sending.put(await city.one_of("endpoint", "endpoint_id"), count=city.dice.randrange(1, 4))


async def change_delivery(city: Desk) -> None:
    state = city.dice.choice(["waiting", "delivered", "gave_up", "cancelled"])
    query = "update delivery set state = $2, attempts = attempts + 1, next_attempt_at = now(), ended_at = now()"
    await city.execute(f"{query} where delivery_id = $1", await city.one_of("delivery", "delivery_id"), state)


async def delete_delivery(city: Desk) -> None:
    await city.execute("delete from delivery where delivery_id = $1", await city.one_of("delivery", "delivery_id"))


ALERTS: tuple[Write, ...] = (fire, change_alert, end_alert, delete_alert)
EVENTS: tuple[Write, ...] = (post_event, late_reading, forget_event)
LISTS: list[tuple[str, tuple[str, ...], tuple[Write, ...]]] = [
    ("/v1/events", ("source", "id"), EVENTS),
    (f"/v1/events?area={DISTRICTS[0]}", ("source", "id"), EVENTS),
    ("/v1/events?subject=lot-03", ("source", "id"), EVENTS),
    ("/v1/conflicts", ("source", "id", "data"), (post_conflict, forget_conflict)),
    ("/v1/assets", ("subject", "type"), (newer_reading, newer_reading, new_asset, forget_asset)),
    (f"/v1/assets?area={CITY}", ("subject", "type"), (newer_reading, late_reading)),
    ("/v1/assets/lot-00/holes", ("start", "end", "type"), (late_reading,)),
    ("/v1/areas", ("code", "valid_from"), (post_event,)),
    ("/v1/alerts", ("id",), ALERTS),
    ("/v1/alerts?rule=lot_full", ("id",), ALERTS),
    ("/v1/silences", ("id",), (silence, end_silence, delete_silence)),
    ("/v1/endpoints", ("id",), (add_endpoint, rename_endpoint, rename_endpoint, remove_endpoint)),
    ("/v1/deliveries", ("id",), (put_delivery, change_delivery, change_delivery, delete_delivery)),
]


async def furnish(city: Desk) -> None:
    """Something in every list, much of it at equal instants."""
    times = [T0, *(minutes_later(60 * n) for n in range(1, 60))]
    await city.post(
        *(occupancy(f"e{n}", times[n % 60], n % 90, subject=f"lot-{n % 9:02}", area=GRIDS[n % 8]) for n in range(120))
    )
    await city.post(*(occupancy(f"h{n}", minutes_later(300 * n), 1, subject="lot-00") for n in range(40)))
    await city.reading.pipeline.beat(minutes_later(60 * 24 * 9))
    await city.post(*(occupancy(f"e{n % 20}", T0, 1000 + n, 5000) for n in range(40)))
    for n in range(30):
        await city.alerts.fire(f"lot-{n}")
        city.alerts.now += timedelta(seconds=n % 3 == 0)
        await city.alerts.silence({"rule": f"first-{n}"})
        await add_endpoint(city)
        await put_delivery(city)
    await city.execute("update silence set made_at = date_trunc('minute', made_at) where substr(silence_id::text, 1, 1) < '8'")
    await city.execute("update endpoint set made_at = $1 where substr(endpoint_id::text, 1, 1) < '8'", datetime.now(UTC))
    await city.execute("update delivery set made_at = $1 where substr(delivery_id::text, 1, 1) < '8'", datetime.now(UTC))


async def walk(city: Desk, path: str, key: Callable[[Any], str], writes: tuple[Write, ...], plan: tuple[list[int], int]) -> None:
    """Compare what all pages give with what was there before and after."""
    sizes, seed = plan
    city.dice = random.Random(seed)
    before = [key(one) for one in await city.whole(path)]
    assert len(before) == len(set(before)), "an item twice without anybody writing"
    found: list[str] = []
    cursor, turn = None, 0
    while turn == 0 or cursor is not None:
        items, cursor = await city.page(path, sizes[turn % len(sizes)] if turn < BUSY_PAGES else 200, cursor)
        found += [key(one) for one in items]
        for _ in range(city.dice.randrange(3) if turn < BUSY_PAGES else 0):
            await city.dice.choice(writes)(city)
        turn += 1
    after = {key(one) for one in await city.whole(path)}
    stayed = [one for one in before if one in after]
    assert [one for one in found if one in set(stayed)] == stayed
    assert len(found) == len(set(found)), "an item twice"


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("path", "names", "writes"), LISTS, ids=[one[0] for one in LISTS])
async def test_every_row_that_existed_throughout_comes_exactly_once(
    database: str, path: str, names: tuple[str, ...], writes: tuple[Write, ...]
) -> None:
    async with (
        reading(database, small_city(roster=ROSTER)) as api,
        notifying(database) as alerts,
        delivering(database) as sending,
    ):
        city = Desk(api, alerts, sending)
        await furnish(city)
        loop = asyncio.get_running_loop()

        @settings(max_examples=WALKS, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(sizes=st.lists(st.integers(1, 11), min_size=1, max_size=9), seed=st.integers(0, 2**32))
        def walks(sizes: list[int], seed: int) -> None:
            def key(item: Any) -> str:
                return repr([item[name] for name in names])

            asyncio.run_coroutine_threadsafe(walk(city, path, key, writes, (sizes, seed)), loop).result()

        await asyncio.to_thread(walks)


async def test_every_list_of_the_api_is_walked_here() -> None:
    """A list that is added has to be added here, too."""
    from citybrain.openapi import openapi_document  # noqa: PLC0415 - describes the whole city, which no other test here needs

    lists = {path for path, routes in openapi_document()["paths"].items() if "get" in routes and _has_cursor(routes["get"])}
    walked = {path.partition("?")[0].replace("lot-00", "{subject}") for path, _, _ in LISTS}
    assert lists - {"/v1/series"} == walked


def _has_cursor(operation: dict[str, Any]) -> bool:
    return any(one["name"] == "cursor" for one in operation.get("parameters", ()))


async def test_points_of_a_series_come_exactly_once_while_readings_arrive(database: str) -> None:
    async with reading(database, small_city()) as api, notifying(database) as alerts, delivering(database) as sending:
        city = Desk(api, alerts, sending, random.Random(7))
        await city.post(*(occupancy(f"e{n}", minutes_later(10 * n), n % 90) for n in range(200)))
        span = (T0 - timedelta(hours=1), T0 + timedelta(days=9))
        for step in ("1m", "1h", "1d"):
            before = [point["start"] for point in await api.points("parking.occupied", CITY, step, span)]
            found: list[str] = []
            cursor = None
            while not found or cursor is not None:
                asked = {"metric": "parking.occupied", "area": CITY, "from_": span[0], "to": span[1], "step": step}
                answer = (await api.get("/v1/series", limit=city.dice.randrange(1, 20), cursor=cursor, **asked)).json
                found += [point["start"] for point in answer["points"]]
                cursor = answer["next"]
                await post_event(city)
                if city.dice.random() < 0.1:
                    await api.pipeline.beat(minutes_later(city.dice.randrange(60 * 24 * 9)))
                    await api.pipeline.drain()
            assert found == sorted(set(found))
            assert set(before) <= set(found)


async def test_a_series_without_a_step_keeps_its_step_from_page_to_page(database: str) -> None:
    async with reading(database, small_city()) as api:
        await api.pipeline.post(records([occupancy(f"e{n}", minutes_later(7 * n), n % 90) for n in range(240)]))
        await api.pipeline.drain()
        asked = {"metric": "parking.occupied", "area": CITY, "from_": T0, "to": minutes_later(1680)}
        whole = (await api.get("/v1/series", **asked)).json
        found, steps, cursor = [], set(), None
        while not found or cursor is not None:
            page = (await api.get("/v1/series", limit=5, cursor=cursor, **asked)).json
            steps.add(page["step"])
            found += page["points"]
            cursor = page["next"]
        assert (steps, found) == ({"1h"}, whole["points"])


async def test_a_cursor_of_another_list_is_refused_with_its_name(database: str) -> None:
    async with (
        reading(database, small_city(roster=ROSTER)) as api,
        notifying(database) as alerts,
        delivering(database) as sending,
    ):
        city = Desk(api, alerts, sending, random.Random(3))
        await furnish(city)
        cursors = {path: (await city.page(path, 1, None))[1] for path, _, _ in LISTS if "?" not in path}
        assert all(cursors.values())
        for path, own in cursors.items():
            assert (await api.get(path, Role.ADMIN, cursor=own)).status == 200
            others = [one for one in cursors.values() if one != own]
            for other in [*others, "garbage", "WzFd", "W10", "e30", uuid4().hex, "é"]:
                answer = await api.get(path, Role.ADMIN, cursor=other)
                assert answer.status == 422, (path, other, answer.body)
                assert answer.json["errors"][0]["field"] == "cursor"
