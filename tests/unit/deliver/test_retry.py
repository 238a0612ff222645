"""When a webhook is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain.deliver.retry import WAITS_S, Again, Answer, Delivered, GaveUp, Gone, decide, retry_after

FAILED = Answer(500, "answered 500")
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@given(st.uuids(), st.integers(1, len(WAITS_S)))
def test_each_wait_is_that_of_the_schedule_give_or_take_a_fifth_and_always_the_same(delivery: UUID, step: int) -> None:
    first, again = (decide(FAILED, delivery, step) for _ in range(2))
    assert isinstance(first, Again)
    assert first == again
    assert 0.8 * WAITS_S[step - 1] <= first.wait.total_seconds() <= 1.2 * WAITS_S[step - 1]


def test_the_schedule_is_that_of_standard_webhooks_and_then_it_gives_up() -> None:
    hours = [round(one / 3600, 2) for one in WAITS_S]
    assert hours == [0.0, 0.08, 0.5, 2, 5, 10, 14, 20, 24]
    assert WAITS_S[0] == 5
    assert decide(FAILED, uuid4(), len(WAITS_S) + 1) == GaveUp()


def test_waits_of_many_deliveries_are_spread() -> None:
    waits = [decide(FAILED, UUID(int=n), 2) for n in range(200)]
    found = sorted(one.wait.total_seconds() for one in waits if isinstance(one, Again))
    assert found[0] < 260
    assert found[-1] > 340


@pytest.mark.parametrize(
    ("status", "asked_s", "least_s"),
    [(429, 2, 4), (429, 60, 60), (503, 60, 60), (503, 10**9, 3600), (500, 60, 4), (404, 600, 4)],
)
def test_retry_after_is_honoured_within_bounds_and_never_makes_a_retry_sooner(status: int, asked_s: int, least_s: int) -> None:
    found = decide(Answer(status, "no", retry_after=timedelta(seconds=asked_s)), uuid4(), 1)
    assert isinstance(found, Again)
    assert least_s <= found.wait.total_seconds() <= max(6, least_s)


def test_success_ends_it_and_410_means_gone_at_any_step() -> None:
    for step in (1, 5, 10, 11):
        assert decide(Answer(204), uuid4(), step) == Delivered()
        assert decide(Answer(410, "answered 410 Gone"), uuid4(), step) == Gone()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120), (" 7 ", 7), ("0", 0), (format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120),
        (format_datetime(NOW - timedelta(minutes=2), usegmt=True), 0), (None, None), ("soon", None), ("-1", None), ("1.5", None),
        ("٣", None), ("9" * 65, None), ("", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: int | None) -> None:
    found = retry_after(text, NOW)
    assert (None if found is None else found.total_seconds()) == seconds
