"""Endpoints and deliveries over HTTP: who may, what is shown, what is refused; and those of the profile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from citybrain.access import Role
from citybrain.endpoints.manage import EndpointRefused
from citybrain.endpoints.of_profile import sync_profile_endpoints
from citybrain.endpoints.secret import new_secret
from citybrain.store import endpoints as store
from citybrain.store.pool import Connection
from delivering import LOOPBACK, Delivering, delivering
from endpoint_targets import REFUSED
from reading import Answer, Reading, reading
from receivers import receiver
from records import small_city

PUBLIC = "https://duty.example.org/hook"


@pytest.fixture
async def api(database: str) -> AsyncIterator[Reading]:
    async with reading(database, small_city()) as city:
        yield city


async def _send(api: Reading, method: str, path: str, document: object = None, role: Role = Role.ADMIN) -> Answer:
    headers = {"Authorization": f"Bearer {api.keys[role]}"}
    async with api.session.request(method, api.address + path, json=document, headers=headers) as response:
        return Answer(response.status, dict(response.headers), await response.read())


async def _create(api: Reading, name: str, **more: Any) -> dict[str, Any]:
    answer = await _send(api, "POST", "/v1/endpoints", {"name": name, "url": PUBLIC, **more})
    assert answer.status == 201, answer.body
    return dict(answer.json)


async def _list(api: Reading, path: str = "/v1/endpoints") -> list[dict[str, Any]]:
    return list((await _send(api, "GET", path)).json["items"])


async def test_a_secret_is_in_the_answer_that_made_it_and_nowhere_else(api: Reading) -> None:
    given = new_secret()
    made, other = (
        await _create(api, "made"),
        await _create(api, "given", secret=given, format="wecom", default=True, language="en"),
    )
    assert other["secret"] == given
    assert (other["format"], other["default"], other["language"], other["state"]) == ("wecom", True, "en", "enabled")
    for path in ("/v1/endpoints", f"/v1/endpoints/{made['id']}"):
        shown = (await _send(api, "GET", path)).body.decode()
        assert made["id"] in shown
        assert "whsec_" not in shown
    changed = await _send(api, "PATCH", f"/v1/endpoints/{made['id']}", {"secret": new_secret()})
    assert changed.status == 200
    assert b"whsec_" not in changed.body
    assert [one["name"] for one in await _list(api)] == ["made", "given"]
    first = (await _send(api, "GET", "/v1/endpoints?limit=1")).json
    second = (await _send(api, "GET", f"/v1/endpoints?limit=1&cursor={first['next']}")).json
    assert [first["items"][0]["name"], second["items"][0]["name"], second["next"]] == ["made", "given", None]


async def test_an_endpoint_is_marked_for_the_heartbeat_and_unmarked_and_no_robot_is(api: Reading) -> None:
    made = await _create(api, "switch", heartbeat=True)
    other = await _create(api, "desk", format="wecom")
    assert (made["heartbeat"], other["heartbeat"]) == (True, False)
    path = f"/v1/endpoints/{made['id']}"
    assert (await _send(api, "PATCH", path, {"heartbeat": False})).json["heartbeat"] is False
    assert (await _send(api, "PATCH", path, {"heartbeat": True})).json["heartbeat"] is True
    for method, place, document in (
        ("PATCH", path, {"format": "feishu"}),
        ("PATCH", f"/v1/endpoints/{other['id']}", {"heartbeat": True}),
        ("POST", "/v1/endpoints", {"name": "robot", "url": PUBLIC, "format": "dingtalk", "heartbeat": True}),
    ):
        answer = await _send(api, method, place, document)
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "heartbeat")
    assert [one["name"] for one in await _list(api)] == ["switch", "desk"]
    nameless = "/v1/endpoints/00000000-0000-0000-0000-000000000000"
    assert [(await _send(api, method, nameless)).status for method in ("GET", "DELETE")] == [404, 404]


@pytest.mark.parametrize(
    ("document", "status", "told"),
    [
        ({"name": "x"}, 422, "url"),
        ({"name": "x", "url": PUBLIC, "format": "slack"}, 422, "format"),
        ({"name": "x", "url": PUBLIC, "colour": 1}, 422, "colour"),
        ({"name": "x", "url": PUBLIC, "secret": "whsec_too-short-to-be-one"}, 422, "secret"),
        ({"name": "x", "url": PUBLIC, "secret": "s" * 300}, 422, "secret"),
        ({"name": " x", "url": PUBLIC}, 422, "name"),
        ({"name": "", "url": PUBLIC}, 422, "name"),
        ({"name": "a\nb", "url": PUBLIC}, 422, "name"),
        ({"name": "taken", "url": PUBLIC}, 409, "taken"),
        ({"name": "x", "url": "http://127.0.0.1/"}, 422, "url"),
        ([], 422, "body"),
    ],
)
async def test_what_is_wrong_with_a_new_endpoint_is_told_without_its_secret(
    api: Reading, document: Any, status: int, told: str
) -> None:
    await _create(api, "taken")
    answer = await _send(api, "POST", "/v1/endpoints", document)
    assert answer.status == status, answer.body
    assert told in answer.json["detail"]
    assert "too-short" not in answer.body.decode()
    assert "sssss" not in answer.body.decode()


async def test_every_forbidden_target_is_refused_when_it_is_made_or_changed(api: Reading) -> None:
    made = await _create(api, "good")
    for n, url in enumerate(REFUSED):
        answer = await _send(api, "POST", "/v1/endpoints", {"name": f"bad {n}", "url": url.replace("{port}", "8443")})
        assert answer.status == 422, url
        if n % 10 == 0:
            assert (await _send(api, "PATCH", f"/v1/endpoints/{made['id']}", {"url": url})).status == 422
    assert [one["url"] for one in await _list(api)] == [PUBLIC]


async def test_an_endpoint_is_changed_tested_disabled_and_removed(api: Reading) -> None:
    path = f"/v1/endpoints/{(await _create(api, 'duty'))['id']}"
    other = "https://other.example.org/"
    changed = await _send(api, "PATCH", path, {"name": "night duty", "url": other, "default": True, "format": "feishu"})
    assert {**changed.json, "made_at": 0} | {"health": 0} == {
        **changed.json, "made_at": 0, "health": 0, "name": "night duty", "url": other, "default": True, "format": "feishu",
    }  # fmt: skip
    told = await _send(api, "POST", f"{path}/test")
    assert told.status == 202
    (delivery,) = await _list(api, "/v1/deliveries")
    assert (delivery["id"], delivery["webhook_id"], delivery["type"]) == (
        told.json["id"],
        told.json["webhook_id"],
        "endpoint.test",
    )
    assert (await _send(api, "PATCH", path, {"disabled": True})).json["state"] == "disabled"
    assert (await _send(api, "POST", f"{path}/test")).status == 409
    assert (await _send(api, "POST", f"/v1/deliveries/{delivery['id']}/resend")).status == 409
    assert (await _send(api, "PATCH", path, {"disabled": False})).json["disabled_why"] is None
    await _create(api, "day duty")
    assert (await _send(api, "PATCH", path, {"name": "day duty"})).status == 409
    assert (await _send(api, "DELETE", path)).status == 204
    for method, at, document in (
        ("GET", path, None),
        ("DELETE", path, None),
        ("PATCH", path, {}),
        ("POST", f"{path}/test", None),
    ):
        assert (await _send(api, method, at, document)).status == 404
    await _create(api, "night duty")  # a name is free again


async def test_endpoints_are_for_admins_deliveries_for_viewers_resending_for_operators(api: Reading) -> None:
    made = await _create(api, "duty")
    told = (await _send(api, "POST", f"/v1/endpoints/{made['id']}/test")).json
    asked: list[tuple[str, str, object, Role]] = [
        ("GET", "/v1/endpoints", None, Role.ADMIN),
        ("GET", f"/v1/endpoints/{made['id']}", None, Role.ADMIN),
        ("POST", "/v1/endpoints", {}, Role.ADMIN),
        ("PATCH", f"/v1/endpoints/{made['id']}", {}, Role.ADMIN),
        ("POST", f"/v1/endpoints/{made['id']}/test", None, Role.ADMIN),
        ("GET", "/v1/deliveries", None, Role.VIEWER),
        ("GET", f"/v1/deliveries/{told['id']}", None, Role.VIEWER),
        ("POST", f"/v1/deliveries/{told['id']}/resend", None, Role.OPERATOR),
        ("DELETE", f"/v1/endpoints/{made['id']}", None, Role.ADMIN),
    ]
    ranks = (Role.INGEST, Role.VIEWER, Role.OPERATOR, Role.ADMIN)
    for method, path, document, least in asked:
        for role in ranks:
            forbidden = (await _send(api, method, path, document, role)).status == 403
            assert forbidden == (ranks.index(role) < ranks.index(least)), (method, path, role)


async def test_deliveries_are_listed_newest_first_by_any_filter_with_their_attempts(api: Reading, database: str) -> None:
    async with delivering(database) as city, receiver() as team:
        one, two = await city.endpoint(team.url("/one"), "one"), await city.endpoint(team.url("/two"), "two")
        for _ in range(12):
            await city.put(one, two)
        while await city.deliverer.step():
            pass
        await city.put(two)
        listed = await api.every("/v1/deliveries")
        assert len(listed) == 25
        assert listed == sorted(listed, key=lambda row: (row["made_at"], row["id"]), reverse=True)
        assert [row["attempts"] for row in listed[:1]] == [[]]
        assert {row["attempts"][0]["status"] for row in listed[1:]} == {200}
        for limit in (1, 7):
            assert await api.every("/v1/deliveries", limit=limit) == listed
        for query, count in (
            ({"endpoint": "one"}, 12), ({"endpoint": str(two)}, 13), ({"state": "waiting"}, 1), ({"type": "alert.firing"}, 0),
            ({"alert": str(uuid4())}, 0), ({"from_": listed[4]["made_at"]}, 5), ({"to": listed[4]["made_at"]}, 20),
        ):  # fmt: skip
            assert len(await api.every("/v1/deliveries", **query)) == count, query
        assert (await api.get("/v1/deliveries", state="lost")).status == 422
        found = (await api.get(f"/v1/deliveries/{listed[0]['id']}")).json
        assert found["body"]["type"] == "endpoint.test"
        assert (await api.get(f"/v1/deliveries/{uuid4()}")).status == 404
        sent = listed[3]
        assert (await _send(api, "POST", f"/v1/deliveries/{sent['id']}/resend", None, Role.OPERATOR)).status == 202
        assert (await api.get("/v1/status")).json["roles"]["deliver"] == {"lag": 2}
        await city.deliverer.step()
        again = [hook for hook in team.hooks if hook.id == sent["webhook_id"]]
        assert len({hook.body for hook in again}) == 1
        assert len(again) == 2
        assert len((await api.get(f"/v1/deliveries/{sent['id']}")).json["attempts"]) == 2


@pytest.mark.parametrize(("delivery", "status"), [("no-such-delivery", 422), (str(uuid4()), 404)])
async def test_an_unknown_delivery_cannot_be_sent_again(api: Reading, delivery: str, status: int) -> None:
    assert (await _send(api, "POST", f"/v1/deliveries/{delivery}/resend")).status == status


# ---- endpoints of the profile --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    name: str
    url: str = "http://127.0.0.1:9/hook"
    format: str = "citybrain"
    default: bool = False
    language: str = "zh"
    heartbeat: bool = False
    secret: str | None = None


@pytest.fixture
async def city(database: str) -> AsyncIterator[Delivering]:
    async with delivering(database) as made:
        yield made


async def _sync(city: Delivering, *lines: Line) -> dict[str, store.EndpointRow]:
    async with city.pool.acquire() as connection:
        await sync_profile_endpoints(connection, lines, LOOPBACK)
        return {row.name: row for row in sorted(await store.list_endpoints(connection, None, 100), key=lambda row: row.name)}


async def _secrets(connection: Connection, row: store.EndpointRow) -> list[str]:
    async with connection.transaction():
        return await store.live_secrets(connection, row.endpoint_id)


async def test_lines_of_the_profile_are_made_changed_removed_and_come_back_as_they_were(city: Delivering) -> None:
    first = await _sync(city, Line("a"), Line("b", default=True))
    assert [(row.made_by, row.is_default) for row in first.values()] == [("profile", False), ("profile", True)]
    assert await _sync(city, Line("a"), Line("b", default=True)) == first
    changed = await _sync(city, Line("a", url="http://127.0.0.1:10/x", format="wecom", language="en"))
    assert list(changed) == ["a"]
    assert changed["a"].endpoint_id == first["a"].endpoint_id
    assert (changed["a"].url, changed["a"].format, changed["a"].language) == ("http://127.0.0.1:10/x", "wecom", "en")
    again = await _sync(city, Line("a"), Line("b"))
    assert again["b"].endpoint_id == first["b"].endpoint_id


async def test_a_secret_is_kept_unless_the_line_gives_another_which_begins_a_rotation(city: Delivering) -> None:
    given, other = new_secret(), new_secret()
    async with city.pool.acquire() as connection:
        made = await _secrets(connection, (await _sync(city, Line("a")))["a"])
        assert await _secrets(connection, (await _sync(city, Line("a")))["a"]) == made
        for secret, live in ((given, [given, *made]), (given, [given, *made]), (other, [other, given, *made])):
            assert await _secrets(connection, (await _sync(city, Line("a", secret=secret)))["a"]) == live
        assert await _secrets(connection, (await _sync(city, Line("a")))["a"]) == [other, given, *made]


async def test_one_that_was_disabled_stays_so_until_its_url_changes(city: Delivering) -> None:
    await _sync(city, Line("a"))
    await city.pool.execute("update endpoint set disabled_at = now(), disabled_why = 'it answered 410 Gone'")
    assert (await _sync(city, Line("a", default=True)))["a"].disabled_at is not None
    assert (await _sync(city, Line("a", url="http://127.0.0.1:10/")))["a"].disabled_at is None


async def test_a_broken_line_changes_nothing_and_is_named_without_its_secret(city: Delivering) -> None:
    before = await _sync(city, Line("a"))
    bad = "whsec_" + "A" * 10
    for line in (Line("b", url="https://10.0.0.1/"), Line("b", secret=bad), Line("b", url="http://8.8.8.8/")):
        with pytest.raises(EndpointRefused, match="endpoint 'b'") as raised:
            await _sync(city, replace(Line("a"), default=True), line)
        assert bad not in str(raised.value)
        async with city.pool.acquire() as connection:
            assert await store.list_endpoints(connection, None, 10) == list(before.values())


async def test_an_endpoint_of_the_profile_is_changed_there_but_its_secret_and_its_state_by_hand(
    api: Reading, city: Delivering
) -> None:
    await city.endpoint("http://127.0.0.1:9/", "by hand")
    rows = await _sync(city, Line("a"), Line("by hand"))
    assert rows["by hand"].made_by == "profile"
    path = f"/v1/endpoints/{rows['a'].endpoint_id}"
    for method, document in (("PATCH", {"url": PUBLIC}), ("PATCH", {"default": True}), ("DELETE", None)):
        answer = await _send(api, method, path, document)
        assert (answer.status, "endpoints.yaml" in answer.json["detail"]) == (409, True)
    assert (await _send(api, "PATCH", path, {"secret": new_secret()})).status == 200
    assert (await _send(api, "PATCH", path, {"disabled": True})).json["state"] == "disabled"
    assert json.dumps((await _send(api, "GET", path)).json, default=str)
    assert datetime.fromisoformat((await _send(api, "GET", path)).json["disabled_at"]) <= datetime.now(UTC)
