"""Bombs, floods, nonsense and published vectors: a clear 4xx, never a 5xx, and the door stays open."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from front_door import JSON, FrontDoor, front_door
from small_city import LEFT, meter, occupancy, report, small_city

CITY = small_city()
DATA = Path(__file__).parents[1] / "data"
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
async def door(database: str) -> AsyncIterator[FrontDoor]:
    async with front_door(database, CITY) as served:
        yield served
        assert (await served.post(occupancy())).status == 202


async def test_no_file_of_the_json_suite_gives_a_5xx_and_every_n_file_is_refused(door: FrontDoor) -> None:
    files = sorted((DATA / "json_test_suite" / "test_parsing").glob("*.json"))
    assert len(files) > 300
    for path in files:
        for body, headers in ((path.read_bytes(), JSON), (b"[" + path.read_bytes() + b"]", JSON), (path.read_bytes(), NDJSON)):
            status = (await door.post(body, headers)).status
            assert status < 500, path.name
            if path.name.startswith("n_") and body == path.read_bytes() and headers == JSON:
                assert 400 <= status < 500, path.name


def _graft(vector: Any) -> Any:
    """A vector of CloudEvents as an event of this city, what the vector tests left as it is."""
    if not isinstance(vector, dict):
        return vector
    good = occupancy()
    made = good | {name: value for name, value in vector.items() if value is not None or name not in good}
    made = {name: value for name, value in made.items() if name in vector or name in ("time", "area", "subject", "data")}
    made |= {"type": good["type"]} if vector.get("type") == "io.cloudevents.test" else {}
    made |= {"datacontenttype": "application/json"} if vector.get("datacontenttype") == "text/plain" else {}
    return made | {"data": good["data"]}


def _vectors(name: str) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = json.loads((DATA / "cloudevents" / f"{name}.json").read_text("utf-8"))["tests"]
    return tests


async def test_cloudevents_vectors_are_accepted_and_refused_as_published(door: FrontDoor) -> None:
    for kind, low, high in (("valid-events", 202, 203), ("invalid-events", 400, 500)):
        for one in _vectors(kind):
            for content_type in ("application/json", "application/cloudevents+json"):
                answer = await door.post(_graft(one["event"]), {"Content-Type": content_type})
                assert low <= answer.status < high, (one["id"], answer)


async def test_cloudevents_batches_keep_their_good_items(door: FrontDoor) -> None:
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    for one in _vectors("valid-batches"):
        assert (await door.post([_graft(item) for item in one["batch"]], headers)).status == 202
    refused = [
        [item["index"] for item in (await door.post([_graft(item) for item in one["batch"]], headers)).json["rejected"]]
        for one in _vectors("invalid-batches")
    ]
    assert refused == [[1], [0], [0]]


async def test_bombs_are_stopped_early_and_cost_little_memory(door: FrontDoor) -> None:
    gzip_bomb = gzip.compress(b"[" + b" " * 300_000_000 + b"]", 9)
    blocks = [(100_000 << 3 | 2 | (n == 2999)).to_bytes(3, "little") + b"x" for n in range(3000)]
    zstd_bombs = [
        head + b"".join(blocks)
        for head in (b"\x28\xb5\x2f\xfd\x00\x58", b"\x28\xb5\x2f\xfd\xa0" + (300_000_000).to_bytes(4, "little"))
    ]
    tracemalloc.start()
    for headers in (JSON, NDJSON):
        for encoding, bomb in (("gzip", gzip_bomb), ("zstd", zstd_bombs[0]), ("zstd", zstd_bombs[1])):
            answer = await door.post(bomb, headers | {"Content-Encoding": encoding})
            assert answer.status == 413, (headers, encoding, answer)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 60_000_000


async def test_a_body_that_is_too_long_is_answered_while_the_client_still_sends(door: FrontDoor) -> None:
    answer = await door.post(b" " * 70_000_000)
    assert (answer.status, answer.headers["connection"]) == (413, None)


async def test_a_stream_that_is_too_long_tells_how_much_was_kept(door: FrontDoor) -> None:
    event = json.dumps(occupancy()).encode() + b"\n"
    blanks = (b" " * 65_535 + b"\n") * 1100
    answer = await door.post(gzip.compress(event * 1500 + blanks, 1), NDJSON | {"Content-Encoding": "gzip"})
    assert (answer.status, answer.json["accepted"]) == (413, 1500)
    assert len(await door.events()) == 1500


async def test_a_stream_that_breaks_off_tells_how_much_was_kept(door: FrontDoor) -> None:
    content = gzip.compress(b"".join(json.dumps(occupancy()).encode() + b"\n" for _ in range(1500)))
    answer = await door.post(content[:-8], NDJSON | {"Content-Encoding": "gzip"})
    assert (answer.status, answer.json["accepted"]) == (400, 1500)


async def test_refused_lines_without_end_are_counted_and_listed_up_to_a_bound(door: FrontDoor) -> None:
    answer = await door.post(b"1\n" * 30_000, NDJSON)
    assert (answer.status, len(answer.json["rejected"]), answer.json["rejected_unlisted"]) == (422, 10_000, 20_000)


async def test_long_strings_and_deep_nesting_are_refused(door: FrontDoor) -> None:
    nested = json.dumps(occupancy()).encode()
    bodies = [
        json.dumps(occupancy(subject="l" * 10_000_000)).encode(),
        b'{"specversion":"1.0","data":' + b"[" * 10_000,
        b'{"specversion":"1.0","data":' + b'{"a":' * 10_000,
        nested.replace(b'"capacity": 5', b'"capacity": ' + b"[" * 10_000 + b"]" * 10_000),
        b"[" + nested.replace(b'"capacity": 5', b'"capacity": ' + b"[" * 10_000 + b"]" * 10_000) + b"]",
        b"[" * 5_000_000,
    ]
    for body in bodies:
        answer = await door.post(body)
        assert answer.status in (400, 413, 422), answer


@pytest.mark.parametrize(
    "literal",
    ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 5000, "0x10", "01", "true", "null", '"1"', "[1]", "1e-999999999"],
)
async def test_a_number_that_cannot_be_held_is_refused(door: FrontDoor, literal: str) -> None:
    body = json.dumps(meter(1, "m3/h")).replace('"value": 1', f'"value": {literal}')
    assert (await door.post(body.encode())).status in (400, 422)


@pytest.mark.parametrize("text", ["\\ud800", "a\\udc00b", "\\u0000"])
async def test_text_that_cannot_be_held_is_refused(door: FrontDoor, text: str) -> None:
    for place in ("subject", "id", "source"):
        sent = json.dumps(occupancy(**{place: "@text"})).replace("@text", text)
        assert (await door.post(sent.encode())).status in (400, 422)
    data = report()["data"] | {"description": "@text"}
    sent = json.dumps(report(data=data, area=LEFT)).replace("@text", text)
    assert (await door.post(sent.encode())).status in (400, 422)


async def test_a_client_that_waits_to_be_told_to_go_on_is_answered_and_let_go(door: FrontDoor) -> None:
    head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n"
    head += f"Content-Type: application/json\r\nAuthorization: Bearer {door.key}\r\n\r\n"

    def ask() -> bytes:
        with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
            connection.sendall(head.encode())
            return b"".join(iter(lambda: connection.recv(65_536), b""))

    answer = await asyncio.to_thread(ask)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing_behind(door: FrontDoor) -> None:
    def leave() -> None:
        with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
            head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nAuthorization: Bearer {door.key}\r\n"
            connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n[")

    await asyncio.gather(*(asyncio.to_thread(leave) for _ in range(20)))
    assert await door.events() == []
