"""Deliveries over a real database to a real receiver: sent, tried again, given up, cancelled, sent again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import standardwebhooks

from citybrain.deliver import worker
from citybrain.endpoints import manage
from citybrain.endpoints.manage import Changes
from citybrain.endpoints.secret import new_secret
from citybrain.store import deliveries
from delivering import BODY, LOOPBACK, Delivering, delivering
from receivers import Behaviour, Receiver, eventually, receiver


@pytest.fixture
async def city(database: str) -> AsyncIterator[Delivering]:
    async with delivering(database) as made:
        yield made


@pytest.fixture
async def team() -> AsyncIterator[Receiver]:
    async with receiver() as listening:
        yield listening


async def _lag(city: Delivering) -> int:
    async with city.pool.acquire() as connection:
        return await deliveries.lag(connection)


async def test_a_delivery_arrives_once_signed_with_its_attempt_written_down(city: Delivering, team: Receiver) -> None:
    secret = new_secret()
    endpoint = await city.endpoint(team.url(), secret=secret)
    ((delivery, webhook, _),) = await city.put(endpoint)
    assert await _lag(city) == 1
    assert await city.deliverer.step()
    assert not await city.deliverer.step()
    (hook,) = team.hooks
    assert (hook.id, hook.body) == (webhook, BODY)
    assert standardwebhooks.Webhook(secret).verify(hook.body, hook.headers) == json.loads(BODY)
    row = await city.row(delivery)
    assert (row["state"], row["attempts"], row["last_error"], row["claimed_by"]) == ("delivered", 1, None, None)
    (attempt,) = await city.attempts()
    assert (attempt["attempt"], attempt["status"], attempt["error"], attempt["answer"]) == (
        1,
        200,
        None,
        b'{"errcode":0,"code":0}',
    )
    assert await _lag(city) == 0


@pytest.mark.parametrize(
    "how",
    [Behaviour(500), Behaviour(404), Behaviour(302, {"Location": "http://127.0.0.1:9/"}), Behaviour(reset=True), Behaviour(429)],
)
async def test_a_failure_is_tried_again_after_five_seconds_with_equal_id_and_bytes(
    how: Behaviour, city: Delivering, team: Receiver
) -> None:
    team.told["/hook"] = Behaviour(how.status, how.headers, reset=how.reset, times=1)
    ((delivery, webhook, _),) = await city.put(await city.endpoint(team.url()))
    begun = datetime.now(UTC)
    assert await city.deliverer.step()
    row = await city.row(delivery)
    assert (row["state"], row["attempts"]) == ("waiting", 1)
    assert timedelta(seconds=4) <= row["next_attempt_at"] - begun <= timedelta(seconds=7)
    assert (await _lag(city), await city.deliverer.step()) == (0, False)
    await city.due_now()
    assert await city.deliverer.step()
    assert [(hook.id, hook.body) for hook in team.hooks] == [(webhook, BODY)] * 2
    assert (await city.row(delivery))["state"] == "delivered"
    assert [one["attempt"] for one in await city.attempts()] == [1, 2]


async def test_after_ten_attempts_it_is_given_up_and_can_be_sent_again_with_a_new_schedule(
    city: Delivering, team: Receiver
) -> None:
    team.told["/hook"] = Behaviour(500, times=12)
    ((delivery, webhook, _),) = await city.put(await city.endpoint(team.url()))
    for _ in range(10):
        await city.pool.execute("update endpoint_health set open_until = null, requests = 0, failures = 0")
        await city.due_now()
        assert await city.deliverer.step()
    row = await city.row(delivery)
    assert (row["state"], row["attempts"], row["last_error"]) == ("gave_up", 10, "answered 500 Internal Server Error")
    assert city.deliverer.metrics.registry.get_sample_value("citybrain_deliver_gave_up_total") == 1
    async with city.pool.acquire() as connection:
        assert await manage.resend(connection, delivery)
        assert not await manage.resend(connection, uuid4())
    for expected in ("waiting", "waiting", "delivered"):
        assert await city.deliverer.step()
        assert (await city.row(delivery))["state"] == expected
        await city.due_now()
    assert {hook.id for hook in team.hooks} == {webhook}
    assert [one["attempt"] for one in await city.attempts()] == list(range(1, 14))


async def test_what_a_receiver_says_is_written_down_whatever_it_is(city: Delivering, team: Receiver) -> None:
    hostile = b'{"errcode": 1, "errmsg": "\\u0000\\ud800 \\udc00' + b"x" * 1000 + b'"}'
    team.told["/hostile"] = Behaviour(200, body=hostile)
    team.told["/binary"] = Behaviour(500, body=bytes(range(256)) * 100)
    endpoints = [await city.endpoint(team.url("/hostile"), format="wecom"), await city.endpoint(team.url("/binary"))]
    await city.put(*endpoints)
    assert await city.deliverer.step()
    assert {(row["state"], row["attempts"]) for row in await city.rows()} == {("waiting", 1)}
    assert {len(one["answer"]) for one in await city.attempts()} == {len(hostile), 20 * 1024}


async def test_410_disables_the_endpoint_and_cancels_what_waits_for_it_alone(city: Delivering, team: Receiver) -> None:
    team.told["/gone"] = Behaviour(410)
    gone, good = await city.endpoint(team.url("/gone"), "gone"), await city.endpoint(team.url("/good"), "good")
    await city.put(gone)
    await city.deliverer.step()
    later = await city.put(gone, good, count=2)
    await city.deliverer.step()
    city.deliverer._swept_at = float("-inf")
    await city.deliverer.step()
    states = {row["endpoint_id"]: row["state"] for row in await city.rows()}
    assert states == {gone: "cancelled", good: "delivered"}
    assert (len(team.at("/gone")), len(team.at("/good"))) == (1, 2)
    async with city.pool.acquire() as connection:
        row = await manage.found(connection, "gone")
        assert row.disabled_at is not None
        assert row.disabled_why == "it answered 410 Gone"
        assert "disabled: it answered 410" in (await city.row(later[0][0]))["last_error"]
        with pytest.raises(manage.Closed):
            await manage.send_test(connection, "gone", datetime.now(UTC))
        with pytest.raises(manage.Closed):
            await manage.resend(connection, later[0][0])
        await manage.change(connection, "gone", Changes({"disabled": False}), LOOPBACK, datetime.now(UTC))
        await manage.resend(connection, later[0][0])
    team.told.clear()
    await city.deliverer.step()
    assert (await city.row(later[0][0]))["state"] == "delivered"


async def test_a_breaker_holds_back_a_failing_endpoint_without_using_up_attempts_and_no_other(
    city: Delivering, team: Receiver
) -> None:
    team.told["/bad"] = Behaviour(500)
    bad, good = await city.endpoint(team.url("/bad")), await city.endpoint(team.url("/good"))
    await city.put(bad, good, count=40)
    while await city.deliverer.step():
        pass
    assert len(team.at("/good")) == 40
    assert 10 <= len(team.at("/bad")) <= 10 + worker.MAX_OF_ENDPOINT
    assert await _lag(city) == 0
    untried = [row for row in await city.rows() if row["endpoint_id"] == bad and row["attempts"] == 0]
    assert len(untried) == 40 - len(team.at("/bad"))
    await city.pool.execute("update endpoint_health set open_until = now() where open_until is not null")
    tried = len(team.at("/bad"))
    assert await city.deliverer.step()
    assert len(team.at("/bad")) == tried + 1  # one to see whether it is back
    team.told.clear()
    await city.pool.execute("update endpoint_health set open_until = now() where open_until is not null")
    while await city.deliverer.step():
        pass
    assert {row["state"] for row in await city.rows() if row["attempts"] == 1} >= {"delivered"}
    assert await city.pool.fetchval("select count(*) from endpoint_health where open_until is not null") == 0


async def test_what_waits_comes_soon_when_an_endpoint_that_was_down_answers_again(city: Delivering, team: Receiver) -> None:
    team.told["/hook"] = Behaviour(503, times=5)
    endpoint = await city.endpoint(team.url())
    await city.put(endpoint, count=5)
    await city.deliverer.step()
    await city.pool.execute("update delivery set next_attempt_at = now() + interval '5 hours'")
    await city.pool.execute("update endpoint_health set failing_since = now() - interval '1 hour'")
    await city.put(endpoint)
    await city.deliverer.step()
    soon = [row["next_attempt_at"] - datetime.now(UTC) for row in await city.rows() if row["state"] == "waiting"]
    assert len(soon) == 5
    assert max(soon) <= timedelta(seconds=5)


async def test_a_process_that_was_killed_leaves_claims_that_run_out_and_its_own_successor_frees_them(
    city: Delivering, team: Receiver
) -> None:
    ((delivery, webhook, _),) = await city.put(await city.endpoint(team.url()))
    async with city.pool.acquire() as connection:
        owner = uuid4()
        assert len(await deliveries.claim(connection, owner, worker.LEASE, (8, 256), {})) == 1
    assert not await city.deliverer.step()  # another owner waits
    successor = city.another(owner=owner)
    assert await successor.step()
    assert [hook.id for hook in team.hooks] == [webhook]
    async with city.pool.acquire() as connection:
        await manage.resend(connection, delivery)
        assert len(await deliveries.claim(connection, owner, worker.LEASE, (8, 256), {})) == 1
    await city.pool.execute("update delivery set claimed_until = now()")
    assert await city.deliverer.step()
    assert [hook.id for hook in team.hooks] == [webhook] * 2


async def test_an_attempt_counts_for_the_owner_of_the_claim_alone(city: Delivering, team: Receiver) -> None:
    team.told["/hook"] = Behaviour(500, delay_s=0.5, times=1)
    ((delivery, _, _),) = await city.put(await city.endpoint(team.url()))
    slow = asyncio.create_task(city.deliverer.step())
    await eventually(lambda: team.hooks)
    await city.pool.execute("update delivery set claimed_until = now()")
    assert await city.another().step()
    await slow
    row = await city.row(delivery)
    assert (row["state"], row["attempts"]) == ("delivered", 1)
    assert len(await city.attempts()) == 1


async def test_two_processes_send_each_delivery_once(city: Delivering, team: Receiver) -> None:
    endpoints = [await city.endpoint(team.url(f"/{n}")) for n in range(5)]
    made = await city.put(*endpoints, count=40)
    both = (city.deliverer, city.another())

    async def drain(one: worker.Deliverer) -> None:
        while await _lag(city):
            await one.step()

    await asyncio.gather(*(drain(one) for one in both))
    assert sorted(hook.id for hook in team.hooks) == sorted(webhook for _, webhook, _ in made)


async def test_it_sends_at_once_when_woken_and_ends_what_is_in_flight_when_stopped(
    city: Delivering, team: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "FINISH_S", 1.0)
    team.told["/slow"] = Behaviour(delay_s=0.4)
    team.told["/never"] = Behaviour(delay_s=60)
    quick, slow, never = [await city.endpoint(team.url(path)) for path in ("/quick", "/slow", "/never")]
    running = asyncio.create_task(city.deliverer.run())
    await city.put(quick)
    city.deliverer.wake.set()
    await eventually(lambda: team.at("/quick"))
    await city.put(slow, never)
    await eventually(lambda: len(team.hooks) == 3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    states = {row["endpoint_id"]: (row["state"], row["claimed_by"]) for row in await city.rows()}
    assert states == {quick: ("delivered", None), slow: ("delivered", None), never: ("waiting", None)}


async def test_what_a_group_tells_an_endpoint_is_sent_in_order_but_for_what_waits_to_be_tried_again(
    city: Delivering, team: Receiver
) -> None:
    endpoint = await city.endpoint(team.url("/team"))
    made = [one[0] for one in await city.put(endpoint, count=4)]
    order = (
        "update delivery set group_key = $2, made_at = $3::timestamptz + $4 * interval '1 microsecond', next_attempt_at = now()"
        " where delivery_id = $1"
    )
    for n, one in enumerate(made):
        await city.pool.execute(order, one, "roof" if n < 3 else "cellar", datetime.now(UTC) - timedelta(seconds=9), n)
    await city.deliverer.step()
    assert {row["delivery_id"] for row in await city.rows() if row["state"] == "delivered"} == {made[0], made[3]}
    await city.pool.execute("update delivery set next_attempt_at = now() + interval '1 min' where delivery_id = $1", made[1])
    await city.deliverer.step()
    assert {row["delivery_id"] for row in await city.rows() if row["state"] == "waiting"} == {made[1]}


async def test_a_slow_endpoint_takes_no_other_ones_places(city: Delivering, team: Receiver) -> None:
    team.told["/slow"] = Behaviour(delay_s=3)
    slow, quick = await city.endpoint(team.url("/slow")), await city.endpoint(team.url("/quick"))
    await city.put(slow, count=100)
    running = asyncio.create_task(city.deliverer.run())
    await eventually(lambda: len(team.at("/slow")) == worker.MAX_OF_ENDPOINT)
    await city.put(quick, count=100)
    await eventually(lambda: len(team.at("/quick")) == 100, 3)
    assert len(team.at("/slow")) == worker.MAX_OF_ENDPOINT
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_changed_secret_signs_beside_the_old_one_for_a_day(city: Delivering, team: Receiver) -> None:
    old, new = new_secret(), new_secret()
    endpoint = await city.endpoint(team.url(), secret=old)
    async with city.pool.acquire() as connection:
        await manage.change(connection, str(endpoint), Changes({}, new), LOOPBACK, datetime.now(UTC))
        await manage.send_test(connection, str(endpoint), datetime.now(UTC))
    await city.deliverer.step()
    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(team.hooks[0].body, team.hooks[0].headers)
    left = await city.pool.fetchval("select expires_at - now() from endpoint_secret where expires_at is not null")
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    await city.pool.execute("update endpoint_secret set expires_at = now() where expires_at is not null")
    await city.put(endpoint)
    await city.deliverer.step()
    assert len(team.hooks[1].headers["webhook-signature"].split()) == 1
    standardwebhooks.Webhook(new).verify(team.hooks[1].body, team.hooks[1].headers)
