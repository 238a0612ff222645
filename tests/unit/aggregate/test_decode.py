"""Garbage of many kinds among good records: the right ones are dead letters, with their offsets; the rest is decoded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from citybrain.aggregate.columns import MAX_MICROS
from citybrain.aggregate.decode import decode
from citybrain.bus.port import Batch, Record
from records import T0, heartbeat, minutes_later, occupancy, record

GOOD = json.loads(record(occupancy("good", T0, 3)).value)


def changed(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}, ensure_ascii=False).encode()


def with_reading(**fields: Any) -> bytes:
    return changed(readings=[{"metric": "water.flow", "micros": 1, **fields}])


GARBAGE = {
    "nothing": b"",
    "no JSON": b"garbage",
    "no UTF-8": changed(id="x").replace(b'"x"', b'"\xff"'),
    "no UTF-8 in data": changed(data={"a": "?"}).replace(b'"?"', b'"\xff"'),
    "half": changed()[:-9],
    "two in one": changed() + b"," + changed(),
    "a list": b"[]",
    "null": b"null",
    "a number for an id": changed(id=7),
    "no id": changed(id=None),
    "an empty subject": changed(subject=""),
    "NUL": changed(id="a\0b"),
    "our separator": changed(source="a\x01b"),
    "a lone surrogate": changed(id="?").replace(b'"?"', b'"\\ud800"'),
    "a naive time": changed(time="2026-03-01T00:00:00.000000"),
    "an offset": changed(time="2026-03-01T08:00:00.000000+08:00"),
    "five decimals": changed(time="2026-03-01T00:00:00.00000Z"),
    "a blank for T": changed(time="2026-03-01 00:00:00.000000Z"),
    "a basic form": changed(time="20260301T000000.00000000000Z"),
    "February 30th": changed(time="2026-02-30T00:00:00.000000Z"),
    "a leap second": changed(time="2026-03-01T23:59:60.000000Z"),
    "hour 24": changed(time="2026-03-01T24:00:00.000000Z"),
    "a comma": changed(time="2026-03-01T00:00:00,000000Z"),
    "other digits": changed(time="２０２６-03-01T00:00:00.000000Z"),
    "the year 9999": changed(time="9999-12-31T23:59:59.999999Z"),
    "accepted never": changed(accepted_at=""),
    "a short fingerprint": changed(fingerprint="00"),
    "a fingerprint of blanks": changed(fingerprint="0a " * 10 + "0a"),
    "an upper-case fingerprint": changed(fingerprint="AB" * 16),
    "a figure out of range": with_reading(micros=MAX_MICROS + 1),
    "a figure beyond 64 bits": with_reading(micros=10**30),
    "a figure as text": with_reading(micros="1"),
    "a figure with a fraction": with_reading(micros=1.5),
    "a numerator beyond 64 bits": with_reading(numerator_micros=10**30, weight_micros=1),
    "a weight beyond its range": with_reading(numerator_micros=1, weight_micros=MAX_MICROS * 2),
    "an unknown metric": with_reading(metric="no.metric"),
    "a flag with a comma": changed(flags=["a,b"]),
    "more source than a key holds": changed(source="".join(chr(0x4E00 + n) for n in range(1024))),
    "data that is a wrong number": changed(data={"a": 77}).replace(b"77", b"077"),
    "data with a wrong escape": changed(data={"a": "?"}).replace(b'"?"', b'"\\q"'),
}


POSITIONS = {0: 7, 2: 90}


def batch(values: list[bytes], first_offset: int = 100, partition: int = 2, types: dict[int, str] | None = None) -> Batch:
    kinds = [(types or {}).get(n, "parking.occupancy") for n in range(len(values))]
    return Batch(partition, first_offset, [b"key"] * len(values), kinds, values)


def good(identity: str) -> bytes:
    return changed(id=identity)


@pytest.mark.parametrize("what", GARBAGE)
def test_a_bad_record_is_a_dead_letter_and_its_neighbours_are_not(what: str) -> None:
    decoded = decode([batch([good("a"), GARBAGE[what], good("b")])], POSITIONS)
    assert decoded.events["id"].to_list() == ["a", "b"]
    assert [(one.partition, one.offset, one.value) for one in decoded.undecodable] == [(2, 101, GARBAGE[what])]
    assert decoded.undecodable[0].reason
    assert decoded.records == 3
    assert decoded.progress[2].next_offset == 103
    assert decoded.progress[2].latest == T0
    assert decoded.readings["n"].unique().to_list() == [0, 1]


def test_all_garbage_together_leaves_the_good_ones_of_every_partition() -> None:
    kinds = list(GARBAGE.values())
    mixed = [value for bad in kinds for value in (good(f"g{kinds.index(bad)}"), bad)]
    decoded = decode([batch(mixed), batch([good("other")], 7, 0)], POSITIONS)
    assert decoded.events.height == len(kinds) + 1
    assert [one.offset for one in decoded.undecodable] == [100 + 2 * n + 1 for n in range(len(kinds))]
    assert decoded.progress[0].next_offset == 8


def test_good_records_are_decoded_alike_at_once_and_one_by_one() -> None:
    odd = [changed(id=text, subject=None) for text in ('q"', "\\", " x ", "é😀", "a,b", "\\.", "\t", "\x7f\x80")]
    at_once = decode([batch(odd)], POSITIONS)
    one_by_one = decode([batch([*odd, b"garbage"])], POSITIONS)
    assert at_once.undecodable == []
    assert at_once.events.equals(one_by_one.events)
    assert at_once.readings.equals(one_by_one.readings)


def test_heartbeats_are_time_and_no_events() -> None:
    beats: list[Record] = [heartbeat(minutes_later(n)) for n in (5, 7)]
    values = [beats[0].value, good("a"), beats[1].value, b"{}"]
    decoded = decode([batch(values, types={0: "heartbeat", 2: "heartbeat", 3: "heartbeat"})], POSITIONS)
    assert decoded.events["id"].to_list() == ["a"]
    assert decoded.progress[2].heartbeats == (minutes_later(5), minutes_later(7))
    assert decoded.progress[2].latest == minutes_later(7)
    assert [one.offset for one in decoded.undecodable] == [103]


def test_the_order_is_that_of_time_source_and_id_bytewise() -> None:
    keys = [("/b", "1"), ("/a", "é"), ("/a", "z"), ("/a", "Z"), ("/a ", "0")]
    decoded = decode([batch([changed(source=source, id=identity) for source, identity in keys])], POSITIONS)
    ranked = decoded.events.sort("order").select("source", "id").rows()
    assert ranked == sorted(keys, key=lambda key: (key[0].encode(), key[1].encode()))
