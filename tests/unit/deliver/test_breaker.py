"""The breaker of an endpoint."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from citybrain.deliver.breaker import OPEN_FOR, WAS_DOWN, WINDOW, Health, after

T0 = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
NEW = Health(T0)


def test_ten_requests_of_which_seven_failed_open_it_for_half_a_minute() -> None:
    for successes, opens in ((3, True), (4, False)):
        seen = after(NEW, [True] * successes + [False] * (10 - successes), T0)
        assert seen.opened is opens
        assert seen.health.open_until == (T0 + OPEN_FOR if opens else None)
    assert not after(NEW, [False] * 9, T0).opened


def test_counts_are_of_five_minutes() -> None:
    health = after(NEW, [False] * 9, T0).health
    assert after(health, [False], T0 + WINDOW - timedelta(seconds=1)).opened
    assert not after(health, [False], T0 + WINDOW).opened


def test_after_it_was_open_one_failure_opens_it_again_and_one_success_closes_it() -> None:
    health = after(NEW, [False] * 10, T0).health
    still_open = after(health, [False], T0 + timedelta(seconds=10))  # it was on its way when the breaker opened
    assert (still_open.opened, still_open.health.open_until) == (False, T0 + OPEN_FOR)
    later = T0 + OPEN_FOR
    again = after(health, [False], later)
    assert (again.opened, again.health.open_until) == (True, later + OPEN_FOR)
    closed = after(health, [True], later).health
    assert (closed.open_until, closed.requests, closed.failures) == (None, 1, 0)


def test_an_endpoint_comes_back_when_it_failed_for_a_while_and_takes_one() -> None:
    failed = after(NEW, [False], T0).health
    assert not after(failed, [True], T0 + timedelta(seconds=5)).came_back
    assert after(failed, [True], T0 + WAS_DOWN).came_back
    assert not after(NEW, [True], T0 + WAS_DOWN).came_back


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 30))
def test_batches_make_no_difference(results: list[bool], cut: int) -> None:
    whole = after(NEW, results, T0)
    first = after(NEW, results[:cut], T0)
    second = after(first.health, results[cut:], T0)
    assert replace(whole, opened=False) == replace(second, opened=False, came_back=first.came_back or second.came_back)
    assert whole.opened == (first.opened or second.opened)
