"""Readings, pairs and minutes are made of stored events once more, the same wherever the stream of events is cut."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain.aggregate.anew import Anew, made_anew, nothing_before
from citybrain.aggregate.windows import MINUTE
from citybrain.store.verify import OpenPair, Pair, StoredEvent


def register(at: int, value: float | str, subject: str = "m", **data: object) -> StoredEvent:
    """`at` in seconds."""
    said = {"medium": "heat", "quantity": "register", "value": value, "unit": "GJ"} | data
    return _event(at, "utility.reading", said, subject)


def session(at: int, role: str, session_id: str = "s", subject: str = "street") -> StoredEvent:
    return _event(at, f"parking.session.{role}", {"session_id": session_id}, subject)


def _event(at: int, kind: str, data: object, subject: str | None) -> StoredEvent:
    return StoredEvent(at * 1_000_000, "/s", f"{kind} {at}", kind, subject, "1", json.dumps(data))


def sums(made: pl.DataFrame, metric: str) -> list[tuple[int, int, int]]:
    """(minute, count, sum) of a metric."""
    rows = made.filter(pl.col("metric") == metric).sort("minute").select(pl.col("minute") // MINUTE, "count", "sum").rows()
    return [(minute, count, int(total)) for minute, count, total in rows]


def test_a_fall_of_a_register_adds_nothing_and_is_flagged() -> None:
    anew = made_anew([register(0, 10), register(60, 12.5), register(120, 3), register(180, 4)], nothing_before())
    assert sums(anew.minutes, "heat.consumption") == [(1, 1, 2_500_000), (3, 1, 1_000_000)]
    assert [pair.reset for pair in anew.pairs] == [False, False, True, False]


def test_an_end_adds_the_time_since_its_start_and_nothing_without_one() -> None:
    anew = made_anew(
        [session(0, "ended"), session(60, "started"), session(150, "ended"), session(200, "ended")], nothing_before()
    )
    assert sums(anew.minutes, "parking.dwell") == [(2, 1, 90_000_000)]
    assert anew.open.is_empty()


def test_what_later_events_build_on_is_the_last_of_each_open_chain() -> None:
    first = made_anew([register(0, 1), register(60, 2), session(61, "started")], nothing_before())
    assert sorted(first.open["key"]) == ["/s\x01parking.session.started 61", "/s\x01utility.reading 60"]
    second = made_anew([session(130, "ended"), register(180, 5)], first.open)
    assert sums(second.minutes, "parking.dwell") == [(2, 1, 69_000_000)]
    assert sums(second.minutes, "heat.consumption") == [(3, 1, 3_000_000)]


def test_the_first_reading_builds_on_one_whose_event_is_gone() -> None:
    gone = OpenPair("heat.consumption", "m", "register", 5, "/s\x01gone", "register", 4_000_000)
    anew = made_anew([register(60, 7)], nothing_before([gone]))
    assert sums(anew.minutes, "heat.consumption") == [(1, 1, 3_000_000)]
    assert [pair.micros for pair in anew.pairs] == [7_000_000]


@pytest.mark.parametrize(
    "event",
    [
        _event(0, "parking.levitation", {}, "x"),
        _event(0, "parking.occupancy", [], "x"),
        _event(0, "parking.occupancy", {"occupied": 1}, "x"),
        _event(0, "parking.occupancy", None, "x")._replace(data='{"occupied": 1e999999, "capacity": 2}'),
        _event(0, "parking.occupancy", None, "x")._replace(data='{"occupied": 1e9999999999999999999999, "capacity": 2}'),
        _event(0, "parking.occupancy", None, "x")._replace(data="[" * 50_000 + "]" * 50_000),
        register(0, 1, unit="furlong"),
        register(0, 10**9, unit="TWh"),
    ],
)
def test_an_event_that_ingest_would_refuse_says_nothing_and_stops_nothing(event: StoredEvent) -> None:
    anew = made_anew([event, register(0, 1, "good")], nothing_before())
    assert anew.minutes["subject"].to_list() == ["good"]
    assert [pair.subject for pair in anew.pairs] == ["good"]


_SOME = st.lists(
    st.one_of(
        st.builds(register, st.integers(0, 600), st.integers(0, 9), st.sampled_from("mn")),
        st.builds(session, st.integers(0, 600), st.sampled_from(["started", "ended"]), st.sampled_from("st")),
    ),
    max_size=30,
    unique_by=lambda event: (event.id, event.subject),
)


@given(events=_SOME, cuts=st.sets(st.integers(1, 10)))
def test_cuts_between_minutes_change_nothing(events: list[StoredEvent], cuts: set[int]) -> None:
    ordered = sorted(events, key=lambda event: event.at)
    whole = made_anew(ordered, nothing_before())
    assert _joined(_in_stretches(ordered, [0, *sorted(cuts), 11])) == _joined([whole])


def _in_stretches(events: Sequence[StoredEvent], minutes: Sequence[int]) -> Iterable[Anew]:
    before = nothing_before()
    for begin, end in pairwise(minutes):
        anew = made_anew([event for event in events if begin <= event.at // MINUTE < end], before)
        before = anew.open
        yield anew


def _joined(parts: Iterable[Anew]) -> tuple[list[tuple[object, ...]], list[Pair]]:
    found = list(parts)
    rows = [row for part in found for row in part.minutes.iter_rows()]
    return sorted(rows, key=str), sorted(pair for part in found for pair in part.pairs)
