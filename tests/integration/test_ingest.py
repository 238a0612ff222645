"""Posts over a real connection reach a real bus, and every answer is as documented."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import zstandard

from citybrain.access import Role
from front_door import JSON, Answer, FrontDoor, front_door
from small_city import LEFT, meter, occupancy, report, small_city

CITY = small_city()
NDJSON = {"Content-Type": "application/x-ndjson"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.fixture
async def door(database: str) -> AsyncIterator[FrontDoor]:
    async with front_door(database, CITY) as served:
        yield served


def lines(events: list[Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def check_problem(answer: Answer, status: int) -> dict[str, Any]:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer
    body: dict[str, Any] = answer.json
    assert body["status"] == status
    return body


async def test_one_event_and_many_in_every_form_are_kept(door: FrontDoor) -> None:
    many = [occupancy() for _ in range(3)]
    posts: list[tuple[bytes | object, dict[str, str], int]] = [
        (occupancy(), JSON, 1),
        (occupancy(), {"Content-Type": "application/cloudevents+json; charset=UTF-8"}, 1),
        (many, JSON, 3),
        (many, BATCH, 3),
        (lines(many), NDJSON, 3),
        (lines(many).rstrip(b"\n"), NDJSON, 3),
        (b"\r\n  \n" + lines(many).replace(b"\n", b"\r\n"), NDJSON, 3),
        (gzip.compress(json.dumps(many).encode()), JSON | {"Content-Encoding": "gzip"}, 3),
        (zstandard.compress(json.dumps(many).encode()), JSON | {"Content-Encoding": "zstd"}, 3),
        (gzip.compress(lines(many)), NDJSON | {"Content-Encoding": "gzip"}, 3),
        ([], JSON, 0),
        (b"", NDJSON, 0),
    ]
    for body, headers, count in posts:
        answer = await door.post(body, headers)
        assert (answer.status, answer.json) == (202, {"accepted": count, "rejected": []}), headers
    assert len(await door.events()) == sum(count for _, _, count in posts)


async def test_binary_mode_is_the_same_event_as_structured_mode(door: FrontDoor) -> None:
    event = occupancy(subject="停车场 7%", traceparent="00-x")
    headers = {f"ce-{name}": quote(value, safe=":/+") for name, value in event.items() if name != "data"}
    assert (await door.post(event["data"], headers | JSON)).json == {"accepted": 1, "rejected": []}
    assert (await door.post(event)).status == 202
    first, second = await door.events()
    assert first.pop("accepted_at") != second.pop("accepted_at")
    assert first == second
    assert first["subject"] == "停车场 7%"


async def test_a_broken_binary_attribute_is_refused_by_name(door: FrontDoor) -> None:
    headers = {f"ce-{name}": value for name, value in occupancy(id="%zz").items() if name != "data"}
    body = check_problem(await door.post({"occupied": 1, "capacity": 1}, headers | JSON), 422)
    assert body["rejected"] == [{"index": 0, "code": "invalid_field", "detail": "is not percent-encoded UTF-8", "field": "id"}]


@pytest.mark.parametrize("form", ["array", "batch", "ndjson"])
async def test_bad_items_are_refused_with_index_and_code_and_good_ones_beside_them_are_kept(door: FrontDoor, form: str) -> None:
    bad = [
        (occupancy(area="000000"), "unknown_area", "area"),
        (occupancy(time="1990-01-01T00:00:00Z"), "too_old", "time"),
        (occupancy(data={"occupied": -1, "capacity": 5}), "invalid_field", "data.occupied"),
        (occupancy(type="parking.levitation"), "unknown_type", "type"),
        (meter(10**10, "m3/h"), "out_of_range", "data.value"),
        (occupancy(data={"occupied": 1, "capacity": 5, "note": "x" * 300_000}), "too_large", None),
        ("no object", "invalid_field", None),
    ]
    mixed = [one for item, _, _ in bad for one in (occupancy(), item)]
    headers = {"array": JSON, "batch": BATCH, "ndjson": NDJSON}[form]
    answer = await door.post(lines(mixed) if form == "ndjson" else mixed, headers)
    assert (answer.status, answer.headers["content-type"], answer.json["accepted"]) == (207, "application/json", len(bad))
    refused = answer.json["rejected"]
    assert [(one["index"], one["code"], one.get("field")) for one in refused] == [
        (2 * n + 1, code, field) for n, (_, code, field) in enumerate(bad)
    ]
    assert refused[0]["id"] == bad[0][0]["id"]  # type: ignore[index]
    assert len(await door.events()) == len(bad)


async def test_when_all_items_are_refused_the_answer_is_a_problem_that_lists_them(door: FrontDoor) -> None:
    body = check_problem(await door.post([occupancy(area="1"), report(None)]), 422)
    assert (body["accepted"], [one["index"] for one in body["rejected"]]) == (0, [0, 1])


async def test_a_bad_line_is_named_and_the_others_are_kept(door: FrontDoor) -> None:
    body = (
        lines([occupancy()])
        + b"\n \n"
        + b'{"specversion": "1.0", "id": \n'
        + b'"\xff"\n'
        + b"[" * 10_000
        + b"\n"
        + lines([occupancy()])
    )
    answer = await door.post(body, NDJSON)
    assert (answer.status, answer.json["accepted"]) == (207, 2)
    assert [(one["index"], one["code"]) for one in answer.json["rejected"]] == [
        (1, "not_json"),
        (2, "not_json"),
        (3, "invalid_field"),
    ]


async def test_a_long_stream_of_lines_is_kept_whole(door: FrontDoor) -> None:
    events = [occupancy() for _ in range(12_345)]
    assert (await door.post(lines(events), NDJSON)).json == {"accepted": 12_345, "rejected": []}
    assert {event["id"] for event in await door.events()} == {event["id"] for event in events}


async def test_five_thousand_items_are_taken_and_one_more_is_refused_whole(door: FrontDoor) -> None:
    many = [occupancy() for _ in range(5001)]
    check_problem(await door.post(many), 413)
    assert await door.events() == []
    assert (await door.post(many[:5000], BATCH)).json["accepted"] == 5000


async def test_posts_that_are_no_posts_of_events_get_their_status(door: FrontDoor) -> None:
    body = json.dumps(occupancy()).encode()
    for content_type in ("text/plain", "application/xml", "application/json; charset=gbk"):
        check_problem(await door.post(body, {"Content-Type": content_type}), 415)
    check_problem(await door.post(body, JSON | {"Content-Encoding": "br"}), 415)
    for broken in (b"", b"{", b"[1,", b'{"id": NaN}', b"\xff\xfe", body + b"]", b"[" + body + b', {"a": "\xff"}]'):
        check_problem(await door.post(broken), 400)
    check_problem(await door.post(b"{}", BATCH), 400)
    check_problem(await door.post(b"[]", {"Content-Type": "application/cloudevents+json"}), 400)
    for encoding, content in (("gzip", gzip.compress(body)), ("zstd", zstandard.compress(body))):
        check_problem(await door.post(content[:-5], JSON | {"Content-Encoding": encoding}), 400)
        check_problem(await door.post(b"no such thing", JSON | {"Content-Encoding": encoding}), 400)
    check_problem(await door.send("DELETE", "/v1/events"), 405)
    check_problem(await door.send("GET", "/nothing"), 404)
    assert await door.events() == []


async def test_the_key_decides_who_may_post_what(door: FrontDoor) -> None:
    body = check_problem(await door.post(occupancy(), key=""), 401)
    assert "Bearer" in body["detail"]
    wrong = await door.post(occupancy(), key="cbk_" + "x" * 40)
    assert (wrong.status, wrong.headers["www-authenticate"]) == (401, "Bearer")
    for role, status in ((Role.INGEST, 202), (Role.VIEWER, 403), (Role.OPERATOR, 403), (Role.ADMIN, 202)):
        assert (await door.post(occupancy(), key=await door.new_key(role))).status == status
    narrow = await door.new_key(Role.INGEST, "/parking/")
    answer = await door.post([occupancy(), occupancy(source="/water/1")], key=narrow)
    assert [(one["index"], one["code"], one["field"]) for one in answer.json["rejected"]] == [(1, "forbidden_source", "source")]


async def test_a_process_that_is_stopping_sends_posts_away(door: FrontDoor) -> None:
    door.stopping[0] = True
    answer = await door.post([occupancy() for _ in range(1000)])
    check_problem(answer, 503)
    assert (answer.headers["retry-after"], answer.headers["connection"]) == ("2", "close")


async def test_metrics_count_what_became_of_events_and_need_a_reader(door: FrontDoor) -> None:
    await door.post([occupancy(), occupancy(area="1")])
    check_problem(await door.send("GET", "/metrics", key=""), 401)
    check_problem(await door.send("GET", "/metrics", key=await door.new_key(Role.INGEST)), 403)
    text = (await door.send("GET", "/metrics", key=await door.new_key(Role.VIEWER))).body.decode()
    assert "citybrain_ingest_accepted_total 1.0" in text
    assert 'citybrain_ingest_rejected_total{code="unknown_area"} 1.0' in text
    assert 'citybrain_http_requests_total{method="POST",route="/v1/events",status="2xx"} 1.0' in text


async def test_the_api_document_describes_posts_and_every_type(door: FrontDoor) -> None:
    document = (await door.send("GET", "/openapi.json", key="")).json
    assert set(document["paths"]["/v1/events"]["post"]["responses"]) >= {
        "202",
        "207",
        "400",
        "401",
        "413",
        "415",
        "422",
        "429",
        "503",
    }
    kinds = document["components"]["schemas"]["Event"]["allOf"][1]["oneOf"]
    assert "parking.occupancy" in {kind["title"] for kind in kinds}
    text = json.dumps(document)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"], name


async def test_an_error_of_ours_is_a_problem_without_its_text(door: FrontDoor) -> None:
    body = check_problem(await door.send("GET", "/boom"), 500)
    assert "select" not in body["detail"]


async def test_the_record_is_under_the_given_area(door: FrontDoor) -> None:
    await door.post(occupancy())
    (event,) = await door.events()
    assert (event["area"], event["subject"]) == (LEFT, "lot-1")
