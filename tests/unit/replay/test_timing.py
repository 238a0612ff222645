"""When records are posted, and which times and ids they then carry."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from citybrain.replay.errors import ReplayError
from citybrain.replay.rows import Record
from citybrain.replay.timing import Shift, Timing, parse_shift

FIRST = datetime(2016, 10, 4, 7, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def record(minutes: float = 0, **fields: object) -> Record:
    at = FIRST + timedelta(minutes=minutes)
    event = {"id": "a", "time": at.isoformat(), "data": {"value": 1}} | fields
    return Record(1, at, json.dumps(event).encode())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "now"),
        ("90d", timedelta(days=90)),
        ("-6h", timedelta(hours=-6)),
        ("+45s", timedelta(seconds=45)),
        ("2w", timedelta(14)),
    ],
)
def test_a_shift_is_now_or_a_length(text: str, meant: Shift) -> None:
    assert parse_shift(text) == meant


@pytest.mark.parametrize("text", ["", "90", "d", "1.5h", "tomorrow", "1y", "999999999w", "--1d"])
def test_another_shift_is_refused(text: str) -> None:
    with pytest.raises(ReplayError):
        parse_shift(text)


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf"), 1e-9])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ReplayError, match="--speed"):
        Timing(None, speed)


def test_without_a_speed_everything_is_due_at_once() -> None:
    timing = Timing(timedelta(days=1), None)
    assert timing.due(record(60), NOW) == NOW


def test_a_speed_alone_paces_and_changes_nothing() -> None:
    timing = Timing(None, 60)
    assert timing.due(record(0), NOW) == NOW
    assert timing.due(record(30), NOW) == NOW + timedelta(seconds=30)
    assert timing.body(record(30)) == record(30).event


def test_shifted_to_now_no_event_lies_in_the_future_when_it_is_posted() -> None:
    timing = Timing("now", 600)
    timing.due(record(0), NOW)
    later = record(100)
    due = timing.due(later, NOW)
    posted = json.loads(timing.body(later))
    assert datetime.fromisoformat(posted["time"]) == due == NOW + timedelta(seconds=10)
    assert posted["id"] == "a~20261123T120000000000"
    assert posted["data"] == {"value": 1}


def test_records_before_the_first_are_due_at_once_and_lie_before_now() -> None:
    timing = Timing("now", None)
    timing.due(record(0), NOW)
    assert timing.due(record(-60), NOW) == NOW - timedelta(hours=1)


def test_numbers_keep_their_digits_when_a_line_is_shifted() -> None:
    at = FIRST.isoformat()
    line = Record(1, FIRST, b'{"id":7,"time":"' + at.encode() + b'","data":{"v":1.10000000000000000000000001}}')
    timing = Timing("now", 1)
    timing.due(line, NOW)
    assert b'"v":1.10000000000000000000000001' in timing.body(line)
    assert b'"id":7' in timing.body(line)


def test_a_line_without_a_readable_time_goes_out_as_it_is() -> None:
    line = Record(1, None, b"not json")
    assert Timing("now", 5).body(line) == b"not json"


def test_a_time_that_leaves_the_calendar_is_refused_by_line() -> None:
    late = Record(9, datetime(9999, 12, 31, tzinfo=UTC), b"{}")
    with pytest.raises(ReplayError, match="line 9"):
        Timing(timedelta(days=2), None).body(late)
