"""Local hours that come twice or never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain.replay.local_clock import LocalClock, NoSuchInstant

ROME = ZoneInfo("Europe/Rome")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_the_second_of_two_equal_hours_is_the_later_one() -> None:
    clock = LocalClock(ROME, "second_is_later")
    hours = [clock.instant(local(f"2021-10-31T{hour}:00")).hour for hour in ("01", "02", "02", "03")]
    assert hours == [23, 0, 1, 2]


def test_half_hours_of_a_repeated_hour_stay_in_order() -> None:
    clock = LocalClock(ROME, "second_is_later")
    found = [clock.instant(local(f"2021-10-31T{at}")) for at in ("02:00", "02:30", "02:00", "02:30", "03:00")]
    assert found == [found[0] + n * timedelta(minutes=30) for n in range(5)]


def test_each_series_has_its_own_repeats() -> None:
    clock = LocalClock(ROME, "second_is_later")
    once = [clock.instant(local("2021-10-31T02:00"), series) for series in ("a", "b", "c")]
    assert len(set(once)) == 1


def test_a_jump_back_is_no_repeat() -> None:
    clock = LocalClock(ROME, "second_is_later")
    clock.instant(local("2021-12-01T02:00"))
    assert clock.instant(local("2021-10-31T02:30")) == datetime(2021, 10, 31, 0, 30, tzinfo=UTC)


def test_first_and_reject_do_as_they_say() -> None:
    first = LocalClock(ROME, "first")
    assert first.instant(local("2021-10-31T02:00")) == first.instant(local("2021-10-31T02:00"))
    with pytest.raises(NoSuchInstant, match="came twice") as refused:
        LocalClock(ROME, "reject").instant(local("2021-10-31T02:00"))
    assert refused.value.code == "repeated_time"


def test_an_hour_that_never_was_is_moved_on_or_refused() -> None:
    assert LocalClock(ROME).instant(local("2021-03-28T02:30")) == datetime(2021, 3, 28, 1, 30, tzinfo=UTC)
    with pytest.raises(NoSuchInstant, match="did not exist"):
        LocalClock(ROME, missing="reject").instant(local("2021-03-28T02:30"))


def test_a_time_with_an_offset_is_taken_as_it_is() -> None:
    assert LocalClock(ROME).instant(local("2021-10-31T02:00:00+05:30")) == datetime(2021, 10, 30, 20, 30, tzinfo=UTC)


@given(
    zone=st.sampled_from(["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai", "America/Sao_Paulo"]),
    begin=st.integers(7_300, 21_900),
    step_minutes=st.sampled_from([5, 10, 15, 30]),
)
def test_a_regular_series_comes_back_from_its_local_times(zone: str, begin: int, step_minutes: int) -> None:
    first = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=begin)
    instants = [first + n * timedelta(minutes=step_minutes) for n in range(400)]
    clock = LocalClock(ZoneInfo(zone), "second_is_later", "reject")
    found = [clock.instant(at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for at in instants]
    head = next((n for n, (a, b) in enumerate(zip(found, instants, strict=True)) if a == b), None)
    assert head is not None
    assert found[head:] == instants[head:]
    assert head <= 60 // step_minutes
