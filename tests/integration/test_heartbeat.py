"""The heartbeat's last leg: a final tick becomes a delivery, which deliver takes, and which piles up nowhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import standardwebhooks

from alerting import FULL, Alerting, alerting, at, tick
from citybrain.access import Access
from citybrain.alert.notify.flush import Flusher
from citybrain.api.gauges import measure
from citybrain.api.parts import ApiParts
from citybrain.deliver.worker import Deliverer
from citybrain.endpoints import manage
from citybrain.endpoints.manage import Changes, NotForRobots, Wish
from citybrain.endpoints.secret import new_secret
from citybrain.store import deliveries, endpoints, upkeep
from citybrain.store.deliveries import DeliveryFilter
from citybrain.store.keys import KeyStore
from citybrain.telemetry import Metrics
from citybrain_schemas.webhooks import HeartbeatWebhook
from delivering import LOOPBACK
from receivers import Behaviour, Receiver, receiver
from records import occupancy, small_city


@dataclass
class Beating:
    """A city whose stages a test drives one by one; `flusher` and `deliverer` are not running."""

    city: Alerting
    flusher: Flusher
    deliverer: Deliverer

    async def until(self, minutes: float) -> None:
        """Time goes on, and all but deliver have done what there was to do."""
        await self.city.until(at(minutes))
        await self.city.work()
        await self.notify()

    async def notify(self) -> None:
        self.flusher._beat_at = 0.0
        await self.flusher.step()

    async def endpoint(self, url: str, **wish: Any) -> UUID:
        async with self.city.pool.acquire() as connection:
            row, _ = await manage.create(connection, Wish("switch", url, heartbeat=True, **wish), "test", LOOPBACK)
        return row.endpoint_id

    async def rows(self) -> list[tuple[datetime, str]]:
        rows = await self.city.pool.fetch("select tick, state from delivery where tick is not null order by tick, state")
        return [tuple(row) for row in rows]

    async def stages(self) -> dict[str, datetime]:
        """Up to when heartbeats have passed, as Prometheus is told."""
        metrics = Metrics()
        city = self.city.city
        await measure(
            ApiParts(city.pool, city.bus, small_city, Access(KeyStore(city.pool)), "0", "embedded", metrics=metrics), None
        )
        samples = next(one for one in metrics.registry.collect() if one.name == "citybrain_stage_through_seconds").samples
        return {one.labels["stage"]: datetime.fromtimestamp(one.value, UTC) for one in samples}


@asynccontextmanager
async def beating(dsn: str) -> AsyncIterator[Beating]:
    async with alerting(dsn, FULL) as city:
        metrics = Metrics()
        parts = (city.pool, lambda: city.loaded[0], small_city, metrics, lambda: city.now, "https://city.example", lambda: None)
        flusher = Flusher(*parts, UUID(int=1))
        yield Beating(city, flusher, Deliverer(city.pool, LOOPBACK, metrics, lambda: datetime.now(UTC)))


@pytest.fixture
async def city(database: str) -> AsyncIterator[Beating]:
    async with beating(database) as made:
        yield made


@pytest.fixture
async def team() -> AsyncIterator[Receiver]:
    async with receiver() as listening:
        yield listening


async def test_without_an_endpoint_deliver_takes_it_and_posts_nothing(city: Beating) -> None:
    await city.until(3)
    assert await city.rows() == [(tick(2), "waiting")]
    assert "delivered" not in await city.stages()
    assert await city.deliverer.step()
    assert await city.rows() == [(tick(2), "delivered")]
    assert (await city.stages())["delivered"] == tick(2)
    told = city.deliverer.metrics.registry.get_sample_value
    assert told("citybrain_deliver_heartbeats_total", {"outcome": "delivered"}) == 1
    assert told("citybrain_deliver_attempts_total", {"outcome": "delivered"}) is None  # nothing was sent
    assert told("citybrain_deliver_attempt_seconds_count") == 0


async def test_an_endpoint_that_is_marked_gets_each_tick_once_and_signed(city: Beating, team: Receiver) -> None:
    secret = new_secret()
    await city.endpoint(team.url(), secret=secret)
    for minutes in (3, 4, 4, 5):
        await city.until(minutes)
        await city.notify()
        await city.deliverer.step()
    bodies = [HeartbeatWebhook.model_validate_json(hook.body) for hook in team.hooks]
    assert [one.data.through for one in bodies] == [tick(2), tick(3), tick(4)]
    for hook in team.hooks:
        assert standardwebhooks.Webhook(secret).verify(hook.body, hook.headers) == json.loads(hook.body)
    assert await city.rows() == [(tick(3), "delivered"), (tick(4), "delivered")]  # the older one goes when the next is made
    assert city.deliverer.metrics.registry.get_sample_value("citybrain_deliver_attempts_total", {"outcome": "delivered"}) == 3


async def test_each_stage_that_stands_still_is_told_from_the_others(city: Beating) -> None:
    await city.until(3)
    await city.deliverer.step()
    before = await city.stages()
    await city.city.until(at(6))
    assert await city.stages() == before  # nobody works
    while await city.city.city.worker.step():
        pass
    stored = await city.stages()
    assert moved(before, stored) == {"stored"}
    while await city.city.city.rollup.step():
        pass
    areas = await city.stages()
    assert moved(stored, areas) == {"areas"}
    while await city.city.worker.step():
        pass
    ticks = await city.stages()
    assert moved(areas, ticks) == {"ticks"}
    await city.notify()
    assert await city.stages() == ticks
    await city.deliverer.step()
    assert moved(ticks, await city.stages()) == {"delivered"}


def moved(before: dict[str, datetime], after: dict[str, datetime]) -> set[str]:
    return {stage for stage, through in after.items() if through > before[stage]}


async def test_what_was_not_taken_is_replaced_by_the_next_and_shows_nowhere(city: Beating, team: Receiver) -> None:
    team.told["/hook"] = Behaviour(500, times=4)
    await city.endpoint(team.url())
    for minutes in range(3, 7):
        await city.until(minutes)
        await city.deliverer.step()
    assert await city.rows() == [(tick(5), "waiting")]
    assert "delivered" not in await city.stages()
    async with city.city.pool.acquire() as connection:
        assert await deliveries.lag(connection) == 0
        latest = (datetime(2199, 1, 1, tzinfo=UTC), UUID(int=0))
        listed = await deliveries.page(connection, DeliveryFilter(), latest, 9)
        shown = await deliveries.page(connection, DeliveryFilter(type="heartbeat"), latest, 9)
    assert (listed, [row.endpoint for row in shown]) == ([], ["switch"])
    assert await city.city.pool.fetchval("select count(*) from v_delivery") == 0
    assert await city.city.pool.fetchval("select count(*) from attempt") == 1  # those of what was replaced are gone
    await city.until(7)
    await city.deliverer.step()
    assert await city.rows() == [(tick(6), "delivered")]


async def test_a_page_and_a_heartbeat_go_out_of_one_step_and_the_page_alone_is_listed(city: Beating, team: Receiver) -> None:
    async with city.city.pool.acquire() as connection:
        await manage.create(connection, Wish("desk", team.url("/desk"), is_default=True), "test", LOOPBACK)
    await city.endpoint(team.url("/switch"))
    await city.city.post(occupancy("e1", at(2), 99, 100))
    for minutes in (3, 3.5, 4):
        await city.until(minutes)
        await city.deliverer.step()
    assert [json.loads(hook.body)["type"] for hook in team.at("/desk")] == ["alert.firing"]
    assert {json.loads(hook.body)["type"] for hook in team.at("/switch")} == {"heartbeat"}
    types = await city.city.pool.fetch("select type from v_delivery")
    assert [row["type"] for row in types] == ["alert.firing"]


async def test_a_backlog_makes_one_heartbeat_and_not_one_a_pass(city: Beating) -> None:
    await city.until(3)
    await city.deliverer.step()
    await city.city.pool.execute("update alert_progress set final_through = $1", tick(4))
    city.city.now += timedelta(seconds=16)
    await city.notify()
    assert await city.rows() == [(tick(2), "delivered"), (tick(4), "waiting")]
    await city.city.pool.execute("update alert_progress set final_through = $1", tick(5))
    await city.notify()
    assert await city.rows() == [(tick(2), "delivered"), (tick(4), "waiting")]  # not yet again
    city.city.now += timedelta(seconds=16)
    await city.notify()
    assert await city.rows() == [(tick(2), "delivered"), (tick(5), "waiting")]


async def test_while_the_endpoint_is_disabled_or_removed_deliver_is_measured_all_the_same(city: Beating, team: Receiver) -> None:
    team.told["/hook"] = Behaviour(410)
    identity = await city.endpoint(team.url())
    await city.until(3)
    await city.deliverer.step()
    await city.until(4)
    await city.deliverer.step()
    assert (len(team.hooks), (await city.stages())["delivered"]) == (1, tick(3))
    async with city.city.pool.acquire() as connection:
        await manage.change(connection, str(identity), Changes({"disabled": False}), LOOPBACK, datetime.now(UTC))
        team.told.clear()
        await city.until(5)
        await city.deliverer.step()
        assert len(team.hooks) == 2
        await manage.remove(connection, str(identity))
    await city.until(6)
    await city.deliverer.step()
    assert (len(team.hooks), (await city.stages())["delivered"]) == (2, tick(5))


async def test_a_robot_gets_no_heartbeat_and_the_nameless_endpoint_is_nobodys(city: Beating, team: Receiver) -> None:
    async with city.city.pool.acquire() as connection:
        with pytest.raises(NotForRobots, match="for programs"):
            await manage.create(connection, Wish("robot", team.url(), "wecom", heartbeat=True), "test", LOOPBACK)
        identity = await city.endpoint(team.url())
        with pytest.raises(NotForRobots, match="for programs"):
            await manage.change(connection, "switch", Changes({"format": "feishu"}), LOOPBACK, datetime.now(UTC))
        await manage.change(connection, "switch", Changes({"heartbeat": False, "format": "feishu"}), LOOPBACK, datetime.now(UTC))
        assert [row.endpoint_id for row in await endpoints.list_endpoints(connection, None, 9)] == [identity]
        assert await endpoints.find(connection, str(UUID(int=0))) is None
        assert await endpoints.find(connection, "") is None
    await city.until(3)
    await city.deliverer.step()
    assert not team.hooks


async def test_forgetting_deliveries_forgets_heartbeats_and_the_next_one_is_made(city: Beating, tmp_path: Path) -> None:
    await city.until(3)
    await city.deliverer.step()
    async with city.city.pool.acquire() as connection:
        assert await upkeep.forget_deliveries(connection, datetime.now(UTC) + timedelta(hours=1)) == 1
    await city.until(4)
    assert await city.rows() == [(tick(3), "waiting")]
