"""What gets onto the topic behind ingest's back: kept with its bytes and its reason, and it stops nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from places import GRIDS, minutes_ago, occupancy

from city import City
from citybrain.bus.port import Record
from citybrain.bus.postgres import open_postgres_bus
from citybrain.store.embedded import database_of
from citybrain.store.pool import open_pool
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC

TYPE = "parking.occupancy"
SUMS = ("accepted", "stored", "repeated", "conflicts", "dead")


def _record(**changed: object) -> bytes:
    """What ingest would have appended, but for what is changed."""
    moment = minutes_ago(10).isoformat().replace("+00:00", ".000000Z")
    event: dict[str, Any] = {
        "id": "behind-1",
        "source": "/behind/the/back",
        "type": TYPE,
        "time": moment,
        "subject": "lot-behind",
        "area": GRIDS[1],
        "data": {"occupied": 1, "capacity": 2},
        "fingerprint": "0123456789abcdef" * 2,
        "accepted_at": moment,
        "readings": [
            {"metric": "parking.occupied", "micros": 1_000_000},
            {"metric": "parking.occupied_ratio", "micros": 500_000, "numerator_micros": 1_000_000, "weight_micros": 2_000_000},
        ],
    }
    return json.dumps(event | changed).encode()


GARBAGE = {
    "bytes that are no text": b"\xff\xfe\x00garbage",
    "nothing": b"",
    "another thing": b'{"half": ',
    "a list": b"[1, 2]",
    "no fingerprint": _record(fingerprint=None),
    "a fingerprint of other letters": _record(fingerprint="zz" * 16),
    "a time that never was": _record(time="2026-02-30T10:00:00.000000Z"),
    "a time without an offset": _record(time="2026-02-20T10:00:00"),
    "a value beyond all bounds": _record(readings=[{"metric": "parking.occupied", "micros": 10**30}]),
    "a NUL in the subject": _record(subject="lot\0behind"),
    "half a surrogate": _record(id="\ud800"),
}

# What ingest never writes, and yet has the form of an event: kept or dead, but it stops nothing.
ODD = {
    "an area that never was": _record(id="odd-1", area="999999"),
    "a metric that never was": _record(id="odd-2", readings=[{"metric": "no.such", "micros": 1}]),
    "the end of all days": _record(id="odd-3", time="9999-12-31T23:59:59.999999Z"),
    "the first of all days": _record(id="odd-4", time="0001-01-01T00:00:00.000000Z"),
    "brackets, very deep": _record(id="odd-5", data="deep").replace(b'"deep"', b"[" * 50_000 + b"]" * 50_000),
    "a weight beyond bounds": _record(
        id="odd-6",
        readings=[{"metric": "parking.occupied", "micros": 1, "numerator_micros": 2**63 - 1, "weight_micros": 2**63 - 1}],
    ),
    "no name at all": _record(id="", source="", subject="", area=""),
    "a separator of ours in the name": _record(id="odd\x01-8", source="/odd\x01"),
    "quotes, commas and lines in a flag": _record(id="odd-9", flags=['a"b', "c,d", "e}f", "g\nh", "\\N"]),
    "a chain and a role that never were": _record(
        id="odd-10", readings=[{"metric": "parking.dwell", "micros": 1, "chain": "x", "role": "nobody"}]
    ),
    "a number that no column holds": _record(id="odd-11", data="huge").replace(b'"huge"', b'{"occupied": 1e999999}'),
}


async def _append(city: City, values: Sequence[bytes]) -> None:
    async with database_of(city.data) as dsn, open_pool(dsn, max_size=2) as pool, open_postgres_bus(pool, Metrics(), 4) as bus:
        await bus.append(EVENTS_TOPIC, [Record(b"lot-behind", TYPE, value) for value in values])


def _dead(city: City, *arguments: str) -> list[dict[str, Any]]:
    return list(json.loads(city.on_data("dead", "list", "--json", *arguments).ok().out)["items"])


@pytest.mark.long
@pytest.mark.timeout(120)
def test_garbage_on_the_topic_is_listed_shown_and_put_back_while_good_events_go_on(own_city: City) -> None:
    values = list(GARBAGE.values())
    assert own_city.post(occupancy()).status == 202
    asyncio.run(_append(own_city, [*values, _record()]))
    assert own_city.post(occupancy()).status == 202
    own_city.settled(len(values) + 3)
    assert own_city.figures() == (len(values) + 3, 3, 0, 0, len(values))
    assert own_city.get("/v1/event", source="/behind/the/back", id="behind-1").status == 200
    listed = _dead(own_city)
    assert all(row["reason"] for row in listed)
    for row, (name, value) in zip(listed[::-1], list(GARBAGE.items())[:2], strict=False):
        letter = json.loads(own_city.on_data("dead", "show", str(row["dead_letter_no"]), "--json").ok().out)
        assert letter["value"] == value.decode("utf-8", "backslashreplace"), name
        assert (letter["topic"], letter["type"], letter["key"]) == (EVENTS_TOPIC, TYPE, "lot-behind")
    own_city.on_data("state", "verify").ok()


@pytest.mark.long
@pytest.mark.timeout(120)
def test_odd_records_on_the_topic_are_kept_or_dead_and_stop_nothing(own_city: City) -> None:
    asyncio.run(_append(own_city, [*ODD.values(), _record()]))
    assert own_city.post(occupancy()).status == 202
    own_city.settled(len(ODD) + 2)
    accepted, stored, _, _, dead = own_city.figures()
    assert (accepted, stored + dead) == (len(ODD) + 2, len(ODD) + 2)
    assert own_city.get("/v1/event", source="/behind/the/back", id="behind-1").status == 200
    said = own_city.on_data("state", "verify")  # their readings are not what their data says
    assert said.code != 0
    named = [json.loads(line) for line in said.out.splitlines()]
    assert {(row["step"], row["subject"]) for row in named} == {("1m", "lot-behind")}
    assert "parking.dwell" in {row["metric"] for row in named}
    assert len(own_city.dump().splitlines()) > stored
    for event in own_city.items("/v1/events"):
        assert own_city.get("/v1/event", source=event["source"], id=event["id"]).status == 200, event
    assert own_city.get("/v1/assets").status == 200


@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_dead_letter_that_is_put_back_is_read_again_and_counted_again(own_city: City) -> None:
    asyncio.run(_append(own_city, [b"one", b"two"]))
    own_city.settled(2)
    two, one = _dead(own_city)
    assert "put back 1" in own_city.on_data("dead", "requeue", str(one["dead_letter_no"])).ok().out
    own_city.settled(3)
    assert own_city.figures() == (3, 0, 0, 0, 3)
    waiting = [row["dead_letter_no"] for row in _dead(own_city)]
    assert len(waiting) == 2
    assert one["dead_letter_no"] not in waiting
    assert two["dead_letter_no"] in waiting
    assert len(_dead(own_city, "--all")) == 3
    own_city.on_data("dead", "requeue", "--all").ok()
    own_city.settled(5)
    assert own_city.figures() == (5, 0, 0, 0, 5)
    said = own_city.on_data("dead", "show", "999")
    assert said.code != 0
    assert said.complaint == ["citybrain: there is no dead letter 999"]


@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_topic_full_of_garbage_stops_aggregate_before_it_is_emptied_and_says_so(own_city: City) -> None:
    asyncio.run(_append(own_city, [b"garbage"] * 5_000))
    assert own_city.post(occupancy()).status == 202
    assert own_city.wait_for_log("aggregate_failed")
    status = own_city.status()
    assert status["dead"] <= 1_000
    assert status["roles"]["aggregate"]["lag"] > 4_000
    assert own_city.is_ready()
