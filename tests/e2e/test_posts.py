"""Hostile and clumsy callers of a whole city: thousands of repeats, wrong clocks, garbage everywhere."""

from __future__ import annotations

import random
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import quote

import pytest
from places import GRIDS, minutes_ago, occupancy, stamp

from city import City

DICE = random.Random(7)


def _works(city: City) -> None:
    """The city is ready, and an event goes all the way."""
    before = city.settled()
    assert city.is_ready()
    assert city.post(occupancy()).status == 202
    assert city.settled(before["accepted"] + 1)["stored"] == before["stored"] + 1


@pytest.mark.long
@pytest.mark.timeout(90)
def test_ten_thousand_repeats_of_an_event_are_accepted_and_counted_once(shared_city: City) -> None:
    before = shared_city.figures()
    event = occupancy(subject="lot-repeated")
    with ThreadPoolExecutor(4) as threads:
        posts = [[event] * 4_000, [event] * 4_000, *([event] * 200 for _ in range(9)), *([event] for _ in range(200))]
        answers = list(threads.map(shared_city.post_until_answered, posts))
    assert [answer.status for answer in answers] == [202] * len(posts)
    assert sum(answer.json["accepted"] for answer in answers) == 10_000
    shared_city.settled(before[0] + 10_000)
    after = shared_city.figures()
    assert tuple(new - old for new, old in zip(after, before, strict=True)) == (10_000, 1, 9_999, 0, 0)
    (point,) = shared_city.points("parking.occupied", GRIDS[0], _around(event["time"]), "1m", "lot-repeated")
    assert point["count"] == 1


def _around(time: str) -> tuple[str, str]:
    return f"{time[:17]}00Z", f"{time[:17]}59Z"


def test_the_first_of_two_contents_wins_and_the_other_is_listed(shared_city: City) -> None:
    before = shared_city.figures()
    event = occupancy(subject="lot-contradicted")
    for data in (event["data"], {"occupied": 99, "capacity": 100}, {"capacity": 100.0, "occupied": 3}):
        assert shared_city.post(event | {"data": data}).status == 202
    shared_city.settled(before[0] + 3)
    after = shared_city.figures()
    assert tuple(new - old for new, old in zip(after, before, strict=True)) == (3, 1, 1, 1, 0)
    (conflict,) = [one for one in shared_city.items("/v1/conflicts") if one["id"] == event["id"]]
    assert conflict["data"]["occupied"] == 99
    found = shared_city.get("/v1/event", source=event["source"], id=event["id"])
    assert (found.status, found.json["data"]["occupied"]) == (200, 3)


@pytest.mark.parametrize(("minutes", "status"), [(4, 202), (6, 422)])
def test_a_clock_may_be_five_minutes_ahead_and_no_more(shared_city: City, minutes: int, status: int) -> None:
    answer = shared_city.post(occupancy(time=stamp(minutes_ago(-minutes))))
    assert answer.status == status
    assert [item["code"] for item in answer.json["rejected"]] == (["future_time"] if status == 422 else [])


def test_what_is_older_than_the_horizon_is_refused_by_name(shared_city: City) -> None:
    old = occupancy(time=stamp(minutes_ago(0) - timedelta(days=5001)))
    answer = shared_city.post([old, occupancy()])
    assert answer.status == 207
    assert [(item["index"], item["id"], item["code"]) for item in answer.json["rejected"]] == [(0, old["id"], "too_old")]


def test_garbage_bytes_on_every_endpoint_are_answered_and_never_with_a_5xx(shared_city: City) -> None:
    paths = shared_city.get("/openapi.json").json["paths"]
    assert {"/v1/events", "/v1/series", "/v1/areas", "/v1/event", "/v1/assets", "/v1/status"} <= paths.keys()
    for path in [*paths, "/", "/v1", "/v1/nothing", "/healthz", "/readyz", "/metrics", "/docs"]:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
            body = DICE.randbytes(2_000)
            place = path
            while "{" in place:
                begin, end = place.index("{"), place.index("}")
                place = place[:begin] + quote(DICE.randbytes(12), safe="") + place[end + 1 :]
            for query in ("", "?" + quote(DICE.randbytes(40)), f"?limit=%FF&cursor={quote(DICE.randbytes(30))}&from=%00&step=1h"):
                answer = shared_city.send(method, place + query, body, {"Content-Type": "application/json"})
                assert answer.status < 500, (method, path, query, answer.body)
    _works(shared_city)


def test_the_page_of_the_api_needs_no_other_host(shared_city: City) -> None:
    page = shared_city.send("GET", "/docs")
    assert page.status == 200
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert len(parts) >= 3
    for part in parts:
        assert part.startswith("/"), part
        assert shared_city.send("GET", part).status == 200, part


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd", "br", "gzip, gzip"])
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/x-ndjson",
        "text/plain",
    ],
)
def test_garbage_bytes_in_every_form_of_a_post_are_refused(shared_city: City, content_type: str, encoding: str) -> None:
    for size in (0, 1, 100, 70_000):
        headers = {"Content-Type": content_type, "Content-Encoding": encoding}
        answer = shared_city.send("POST", "/v1/events", DICE.randbytes(size), headers)
        empty_lines = size == 0 and content_type == "application/x-ndjson" and answer.status == 202
        assert empty_lines or 400 <= answer.status < 500, (size, answer.status, answer.body)


def test_bytes_that_are_no_http_disturb_nobody(shared_city: City) -> None:
    for size in (1, 50, 5_000, 200_000):
        with socket.create_connection(("127.0.0.1", shared_city.port), timeout=10) as connection:
            try:
                connection.sendall(DICE.randbytes(size))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass
            except OSError:
                continue
    half = socket.create_connection(("127.0.0.1", shared_city.port), timeout=10)
    half.sendall(b"POST /v1/events HTTP/1.1\r\nContent-Length: 1000\r\nHost: x\r\n\r\n[{")
    half.close()
    _works(shared_city)
