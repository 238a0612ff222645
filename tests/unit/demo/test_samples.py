"""The demo's samples: moved to now, split into history and life, the same rhythm as there."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from citybrain.demo.play import longest_silence
from citybrain.demo.samples import WEEK, Moved, load_samples, shift_of, unheard

CITY = Path(__file__).parents[3] / "deploy" / "city"
NOW = datetime(2026, 11, 23, 4, 17, tzinfo=UTC)


@cache
def stream() -> list[Moved]:
    return load_samples(CITY, NOW)


def test_the_samples_are_one_stream_in_order_of_time() -> None:
    times = [one.at for one in stream()]
    assert times == sorted(times)
    assert Counter(one.event["type"] for one in stream()) == {
        "parking.occupancy": 12_834,
        "utility.reading": len(stream()) - 12_834,
    }
    assert {one.subject for one in stream()} >= {"Bull Ring", "dma-01", "dma-10", "heat-660"}


def test_one_to_two_weeks_of_every_sample_lie_ahead_of_now() -> None:
    for subject in ("Bull Ring", "dma-01", "heat-660"):
        last = max(one.at for one in stream() if one.subject == subject)
        assert NOW + WEEK - timedelta(days=1) < last <= NOW + 2 * WEEK


def test_a_working_day_there_is_a_working_day_here() -> None:
    local = [one.at.astimezone(ZoneInfo("Asia/Shanghai")) for one in stream() if one.event["type"] == "parking.occupancy"]
    assert {at.hour for at in local} <= set(range(6, 18))


@given(last_s=st.integers(0, 1_800_000_000), now_s=st.integers(1_600_000_000, 2_400_000_000))
def test_a_shift_ends_one_to_two_weeks_ahead_on_the_same_weekday_and_hour(last_s: int, now_s: int) -> None:
    last, now = datetime.fromtimestamp(last_s, UTC), datetime.fromtimestamp(now_s, UTC)
    there, here = ZoneInfo("UTC"), ZoneInfo("Asia/Shanghai")
    moved = last + shift_of(last, there, here, now)
    assert now + WEEK < moved <= now + 2 * WEEK
    assert moved.astimezone(here).replace(tzinfo=None).time() == last.time()
    assert moved.astimezone(here).weekday() == last.weekday()


def test_a_city_that_has_heard_a_subject_gets_only_what_is_later() -> None:
    heard = {"Bull Ring": NOW - timedelta(days=3)}
    history = unheard(stream(), heard, NOW)
    assert all(one.at <= NOW for one in history)
    assert min(one.at for one in history if one.subject == "Bull Ring") > heard["Bull Ring"]
    assert min(one.at for one in history if one.subject == "Shopping") == min(
        one.at for one in stream() if one.subject == "Shopping"
    )


def test_the_silence_of_district_seven_is_in_history() -> None:
    found = longest_silence(stream(), "dma-07", NOW)
    assert found is not None
    assert found[1] - found[0] == timedelta(hours=627)
    assert longest_silence(stream(), "heat-660", NOW) is None
    assert longest_silence(stream(), "nobody", NOW) is None


def test_the_samples_are_small() -> None:
    assert sum(path.stat().st_size for path in (CITY / "samples").iterdir()) < 1_500_000
