"""How many dead letters are too many, and which stretches are pipeline gaps."""

from __future__ import annotations

from datetime import timedelta

import pytest

from citybrain.aggregate.limits import MAX_STREAK, RECENT_RECORDS, DeadLetterLimit, TooManyDeadLetters
from citybrain.aggregate.watermark import GAP, gaps
from records import T0


def test_a_few_dead_letters_among_few_records_are_no_reason_to_stop() -> None:
    limit = DeadLetterLimit()
    for _ in range(9):
        limit.check(100, 90)
        limit.count(100, 90)


def test_more_than_a_quarter_of_a_thousand_records_stops() -> None:
    limit = DeadLetterLimit()
    limit.check(1000, 250)
    with pytest.raises(TooManyDeadLetters):
        limit.check(1000, 251)
    limit.count(1000, 250)
    limit.check(1000, 250)
    with pytest.raises(TooManyDeadLetters):
        limit.check(4, 4)


def test_a_long_run_of_nothing_but_dead_letters_stops_and_one_good_batch_ends_it() -> None:
    limit = DeadLetterLimit()
    limit.count(9 * MAX_STREAK, 0)
    for _ in range(10):
        limit.check(100, 100)
        limit.count(100, 100)
    with pytest.raises(TooManyDeadLetters):
        limit.check(1, 1)
    limit.check(1, 0)
    limit.count(1, 0)
    limit.check(1, 1)


def test_what_was_long_ago_is_forgotten() -> None:
    limit = DeadLetterLimit()
    limit.count(1000, 250)
    limit.count(RECENT_RECORDS, 0)
    limit.check(1000, 250)
    with pytest.raises(TooManyDeadLetters):
        limit.check(RECENT_RECORDS, RECENT_RECORDS // 2 + 1)


def test_a_check_alone_counts_nothing() -> None:
    limit = DeadLetterLimit()
    for _ in range(50):
        limit.check(900, 900)


def test_a_gap_is_longer_than_fifteen_seconds() -> None:
    assert gaps(T0, [T0 + GAP]) == []
    after = T0 + GAP + timedelta(microseconds=1)
    assert gaps(T0, [after]) == [(T0, after)]


def test_the_first_heartbeat_of_all_opens_no_gap() -> None:
    assert gaps(None, [T0, T0 + timedelta(seconds=5)]) == []


def test_an_earlier_heartbeat_after_a_later_one_opens_no_gap_and_hides_none() -> None:
    beats = [T0 + timedelta(seconds=seconds) for seconds in (10, 2, 12, 40)]
    assert gaps(T0, beats) == [(beats[2], beats[3])]
