"""Which rows may be copied straight in: a guess from what this process has stored."""

from __future__ import annotations

import numpy as np
import pytest

from citybrain.aggregate import newest
from citybrain.aggregate.newest import CAREFUL_BATCHES, Newest
from citybrain.store.dictionary import SHARDS


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "AT_LEAST", 1)


def are_new(guess: Newest, series: list[int], minutes: list[int], born: set[int]) -> list[bool]:
    """Of the first, second, … series that a city has numbered, each in some shard."""
    numbers = [one * SHARDS + one % 5 for one in range(max(series) + 1)]
    found: list[bool] = guess.are_new(
        np.array([numbers[one] for one in series]), np.array(minutes), {numbers[one] for one in born}
    ).tolist()
    return found


def test_only_minutes_after_the_newest_that_was_committed_are_new() -> None:
    guess = Newest()
    assert are_new(guess, [1, 1, 2], [10, 11, 10], set()) == [False, False, False]
    guess.committed()
    assert are_new(guess, [1, 1, 1, 2, 3], [11, 12, 13, 11, 11], set()) == [False, True, True, True, False]


def test_a_series_that_was_numbered_just_now_has_no_row() -> None:
    assert are_new(Newest(), [1, 2], [10, 10], {2}) == [False, True]


def test_what_was_rolled_back_is_not_remembered() -> None:
    guess = Newest()
    are_new(guess, [1], [10], set())
    guess.committed()
    are_new(guess, [1], [20], set())
    guess.rolled_back()
    assert are_new(guess, [1], [15], set()) == [True]


def test_an_older_minute_does_not_move_the_newest_back() -> None:
    guess = Newest()
    for minute in (20, 10):
        are_new(guess, [1], [minute], set())
        guess.committed()
    assert are_new(guess, [1, 1], [15, 21], set()) == [False, True]


def test_its_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "MAX_SERIES", 4)
    guess = Newest()
    for minute in (1, 2):
        found = are_new(guess, [1, 2, 3, 4, 10_000], [minute] * 5, set())
        guess.committed()
    assert found == [True, True, True, False, False]
    assert len(guess._known) == 4


def test_numbers_of_before_there_were_shards_share_their_memory_and_are_taken_for_known() -> None:
    guess = Newest()
    for minute, expected in ((20, [False, False]), (10, [False, False]), (30, [True, True])):
        assert guess.are_new(np.array([32, 33]), np.array([minute, minute]), ()).tolist() == expected
        guess.committed()


def test_after_known_identities_a_number_of_batches_is_checked_first() -> None:
    guess = Newest()
    assert guess.expects_new_identities(5)
    guess.saw_identities(1)
    for _ in range(CAREFUL_BATCHES):
        assert not guess.expects_new_identities(5)
        guess.saw_identities(0)
    assert guess.expects_new_identities(5)


def test_a_small_batch_takes_no_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "AT_LEAST", 3)
    guess = Newest()
    assert are_new(guess, [1, 2], [10, 10], {1, 2}) == [False, False]
    assert not guess.expects_new_identities(2)
