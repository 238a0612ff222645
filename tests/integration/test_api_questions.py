"""What every route does with a question: names that it does not know, wrong values, tags, and bodies without end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from urllib.parse import quote

import aiohttp
import pytest

from citybrain.access import Role
from citybrain.openapi import openapi_document
from citybrain.web import bounded
from delivering import delivering
from notifying import notifying
from reading import Reading, reading
from records import CITY, GRIDS, T0, occupancy, records, small_city

DOCUMENT = openapi_document()
READ = [(path, routes["get"]) for path, routes in DOCUMENT["paths"].items() if "get" in routes and path.startswith("/v1/")]
NEEDED = {"metric": "parking.occupied", "area": CITY, "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
WRITTEN = [
    (method.upper(), path)
    for path, routes in DOCUMENT["paths"].items()
    for method, operation in routes.items()
    if "requestBody" in operation and path != "/v1/events"
]


@asynccontextmanager
async def desk(dsn: str) -> AsyncIterator[tuple[Reading, dict[str, str]]]:
    """The API, and the path of one resource of each kind."""
    async with reading(dsn, small_city()) as api, notifying(dsn, endpoints=()) as alerts, delivering(dsn) as sending:
        await api.pipeline.post(records([occupancy("one", T0, 5)]))
        await api.pipeline.drain()
        endpoint = await alerts.endpoint("desk")
        [(delivery, _, _)] = await sending.put(endpoint)
        yield (
            api,
            {
                "/v1/areas/{code}": f"/v1/areas/{GRIDS[0]}",
                "/v1/event": "/v1/event?source=/test&id=one",
                "/v1/alerts/{id}": f"/v1/alerts/{await alerts.fire()}",
                "/v1/silences/{id}": f"/v1/silences/{await alerts.silence({'rule': 'x'})}",
                "/v1/endpoints/{id}": f"/v1/endpoints/{endpoint}",
                "/v1/deliveries/{id}": f"/v1/deliveries/{delivery}",
            },
        )


async def _get(api: Reading, path: str, *tags: str) -> tuple[int, str | None, bytes]:
    headers = [("Authorization", f"Bearer {api.keys[Role.ADMIN]}"), *(("If-None-Match", tag) for tag in tags)]
    async with api.session.get(api.address + path, headers=headers) as answer:
        return answer.status, answer.headers.get("ETag"), await answer.read()


async def test_every_single_resource_has_a_tag_and_is_not_sent_again_to_who_has_it(database: str) -> None:
    async with desk(database) as (api, paths):
        tagged = {path for path, operation in READ if "304" in operation["responses"]}
        assert tagged == paths.keys(), "every resource that is declared to have a tag is asked for here"
        single = {path for path, _ in READ if path.endswith("}")} | {"/v1/event"}
        assert tagged == single, "every single resource has a tag"
        for path in paths.values():
            status, tag, body = await _get(api, path)
            assert (status, bool(body)) == (200, True), path
            assert tag is not None
            assert (await _get(api, path))[1] == tag, "the same content has the same tag"
            for had in ([tag], [f"W/{tag}"], ["*"], [f'"a", {tag}'], [f'"a,b",W/"c" , W/{tag}'], ['"a"', tag], [" * "]):
                assert await _get(api, path, *had) == (304, tag, b""), (path, had)
            for other in ('"another"', 'W/"another"', tag.strip('"'), f'"*", {tag[:-2]}"', f'"x{tag[1:]}', "", '"'):
                assert (await _get(api, path, other))[::2] == (200, body), (path, other)


async def test_a_tag_changes_with_what_is_shown(database: str) -> None:
    async with desk(database) as (api, paths):
        pool = api.pipeline.pool
        before = {path: (await _get(api, asked))[1] for path, asked in paths.items()}
        await pool.execute("update alert set handled_by = 'ann', handling = 'acknowledged'")
        await pool.execute("update silence set ended_at = now()")
        await pool.execute("update endpoint set disabled_at = now(), disabled_why = 'works'")
        await pool.execute("update delivery set state = 'cancelled', ended_at = now()")
        await api.pipeline.post(records([occupancy("one", T0, 6)]))  # a conflict
        await api.pipeline.drain()
        for path, asked in paths.items():
            status, tag, body = await _get(api, asked, before[path] or "")
            assert (status, tag != before[path]) == ((304, False) if path.startswith("/v1/areas") else (200, True)), (path, body)


async def test_a_name_that_a_route_does_not_know_or_that_comes_twice_is_refused_with_it(database: str) -> None:
    async with reading(database, small_city()) as api:
        for path, operation in READ:
            asked = path.replace("{code}", CITY).replace("{id}", "none").replace("{subject}", "none")
            names = {one["name"]: one for one in operation.get("parameters", ()) if one["in"] == "query"}
            needed = {name: NEEDED.get(name, "x") for name, one in names.items() if one["required"]}
            answer = await api.get(asked, Role.ADMIN, **needed, serverity="x")
            assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json"), path
            assert answer.json["errors"][0]["field"] == "serverity", path
            assert answer.json["detail"].startswith("serverity: is not known here"), path
            assert (await api.get(asked, Role.INGEST, **needed, serverity="x")).status == 403, path
            for name in names.keys() - ({"event", "metric"} if path == "/v1/stream" else set()):
                twice = await api.get(f"{asked}?{quote(name)}=1&{quote(name)}=1", Role.ADMIN)
                assert (twice.status, "more than once" in twice.body.decode()) == (422, True), (path, name, twice.body)


async def test_the_name_that_was_meant_is_told(database: str) -> None:
    async with reading(database, small_city()) as api:
        assert b"did you mean severity?" in (await api.get("/v1/alerts", serverity="major")).body


WRONG: list[tuple[str, dict[str, str], str]] = [
    ("/v1/events", {"limit": "0"}, "limit"),
    ("/v1/events", {"limit": "1001"}, "limit"),
    ("/v1/events", {"from": "yesterday"}, "from"),
    ("/v1/events", {"to": "2026-01-01T00:00:00"}, "to"),
    ("/v1/events", {"area": "nowhere"}, "area"),
    ("/v1/events", {"type": ""}, "type"),
    ("/v1/events", {"source": "x" * 1025}, "source"),
    ("/v1/event", {"source": "x"}, "id"),
    ("/v1/event", {"source": "x", "id": "y", "time": "noon"}, "time"),
    ("/v1/conflicts", {"cursor": "?"}, "cursor"),
    ("/v1/series", NEEDED | {"step": "7m"}, "step"),
    ("/v1/series", NEEDED | {"limit": "10001"}, "limit"),
    ("/v1/series", NEEDED | {"metric": "parking.cars"}, "metric"),
    ("/v1/series", {**NEEDED, "from": "9999-12-31T23:59:59Z"}, "from"),
    ("/v1/series", {"metric": "parking.occupied"}, "area"),
    ("/v1/assets", {"silent": "perhaps"}, "silent"),
    ("/v1/assets/none/holes", {"from": "x"}, "from"),
    ("/v1/areas", {"level": "hamlet"}, "level"),
    ("/v1/areas.geojson", {"at": "now"}, "at"),
    ("/v1/alerts", {"state": "odd"}, "state"),
    ("/v1/alerts", {"severity": "odd"}, "severity"),
    ("/v1/deliveries", {"alert": "odd"}, "alert"),
    ("/v1/deliveries", {"state": "odd"}, "state"),
    ("/v1/deliveries/none", {}, "id"),
    ("/v1/stream", {"event": "odd"}, "event.0"),
    ("/v1/stream", {"area": "nowhere"}, "area"),
]


async def test_a_wrong_value_is_refused_with_the_name_of_its_field(database: str) -> None:
    async with reading(database, small_city()) as api:
        for path, query, field in WRONG:
            answer = await api.get(path, **query)  # type: ignore[arg-type]
            assert answer.status in {404, 422}, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert (answer.json["errors"][0]["field"], answer.json["detail"].split(": ")[0]) == (field, field)
            assert answer.json.keys() == {"type", "title", "status", "detail", "errors"}


async def test_what_there_is_not_and_what_cannot_be_done_are_problems(database: str) -> None:
    async with reading(database, small_city()) as api:
        for method, path, status in (
            ("GET", "/v1/nothing", 404), ("GET", "/nothing", 404), ("POST", "/v1/areas", 405), ("PUT", "/v1/alerts/x", 405),
            ("DELETE", "/v1/event", 405),
        ):  # fmt: skip
            headers = {"Authorization": f"Bearer {api.keys[Role.ADMIN]}"}
            async with api.session.request(method, api.address + path, headers=headers) as answer:
                assert (answer.status, answer.content_type) == (status, "application/problem+json")
                assert (await answer.json(content_type=None))["status"] == status
                assert status != 405 or answer.headers["Allow"]


async def test_a_body_that_is_too_large_is_refused_whether_its_length_is_told_or_not(database: str) -> None:
    body = json.dumps({"comment": "x" * bounded.MAX_BODY_BYTES}).encode()
    just = json.dumps({"comment": "x" * (bounded.MAX_BODY_BYTES - 100)}).encode()

    async def in_parts() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 65536):
            yield body[at : at + 65536]

    async with reading(database, small_city()) as api:
        headers = {"Authorization": f"Bearer {api.keys[Role.ADMIN]}", "Content-Type": "application/json"}
        for method, path in WRITTEN:
            url = api.address + path.replace("{id}", "none")
            for data in (BytesIO(body), in_parts()):
                async with api.session.request(method, url, data=data, headers=headers) as answer:
                    assert (answer.status, answer.content_type) == (413, "application/problem+json"), path
                    assert "1 MiB" in (await answer.json(content_type=None))["detail"]
            async with api.session.request(method, url, data=BytesIO(just), headers=headers) as answer:
                assert answer.status == 422, path


async def test_a_body_that_does_not_come_is_not_waited_for(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "IDLE_TIMEOUT_S", 0.2)
    async with reading(database, small_city()) as api:
        host, port = api.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/silences HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.keys[Role.ADMIN]}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        async with asyncio.timeout(10):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        writer.close()


async def test_a_stranger_cannot_fill_the_memory(database: str) -> None:
    """A body is read before it is known who sent it."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(4000):
            sent += 65536
            yield b" " * 65536

    async with reading(database, small_city()) as api:
        with suppress(aiohttp.ClientError):  # the connection is closed while we still send
            async with api.session.post(api.address + "/v1/silences", data=endless()) as answer:
                assert answer.status in {401, 413}
        assert sent < 64 * bounded.MAX_BODY_BYTES
