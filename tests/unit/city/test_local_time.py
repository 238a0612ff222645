"""A city's days follow one another without gap or overlap, whatever its clocks did."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citybrain.city.local_time import day_bounds, day_start, day_starts_us, next_day_start, start_of_date

ZONES = [
    "Asia/Shanghai", "Europe/London", "Europe/Rome", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo", "Australia/Lord_Howe",
    "Asia/Kathmandu", "America/St_Johns", "America/Havana", "Asia/Tehran", "Pacific/Apia", "Africa/Casablanca", "UTC",
]  # fmt: skip
zones = st.sampled_from([ZoneInfo(name) for name in ZONES])
instants = st.datetimes(datetime(1975, 1, 1), datetime(2037, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("Asia/Shanghai", date(2026, 11, 23), "2026-11-22T16:00:00", 24),
        ("Europe/London", date(2016, 10, 30), "2016-10-29T23:00:00", 25),
        ("Europe/Rome", date(2022, 3, 27), "2022-03-26T23:00:00", 23),
        ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T03:00:00", 23),  # midnight does not exist
        ("America/Sao_Paulo", date(2018, 2, 17), "2018-02-17T02:00:00", 25),  # 23:00 to 24:00 comes twice
        ("Asia/Beirut", date(2022, 3, 27), "2022-03-26T22:00:00", 23),
        ("Africa/Cairo", date(2024, 4, 26), "2024-04-25T22:00:00", 23),
        ("Australia/Lord_Howe", date(2025, 10, 5), "2025-10-04T13:30:00", 23.5),
        ("Asia/Kathmandu", date(1986, 1, 1), "1985-12-31T18:30:00", 23.75),
        ("America/Havana", date(2025, 11, 2), "2025-11-02T04:00:00", 25),  # 00:00 to 01:00 comes twice
        ("America/Toronto", date(1919, 3, 31), "1919-03-31T04:30:00", 23.5),  # from 23:30 to 00:30
        ("Pacific/Apia", date(2011, 12, 29), "2011-12-29T10:00:00", 24),  # the 30th was skipped
        ("Pacific/Apia", date(2011, 12, 31), "2011-12-30T10:00:00", 24),
    ],
)
def test_a_day_begins_at_the_first_instant_of_its_date(zone: str, day: date, start: str, hours: float) -> None:
    begun = datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert start_of_date(day, ZoneInfo(zone)) == begun
    assert day_start(begun, ZoneInfo(zone)) == begun
    assert next_day_start(begun, ZoneInfo(zone)) - begun == timedelta(hours=hours)
    assert day_start(begun - timedelta(microseconds=1), ZoneInfo(zone)) < begun


def test_minutes_that_come_again_after_midnight_belong_to_the_new_day() -> None:
    zone = ZoneInfo("America/St_Johns")  # at 00:01 of 2010-11-07 it became 23:01 of the day before
    start = datetime(2010, 11, 7, 2, 30, tzinfo=UTC)
    again = datetime(2010, 11, 7, 3, 0, tzinfo=UTC)
    assert again.astimezone(zone).date() == date(2010, 11, 6)
    assert day_start(again, zone) == start
    assert next_day_start(again, zone) - start == timedelta(hours=25)


@given(instants, zones)
def test_every_instant_is_in_exactly_one_day(at: datetime, zone: ZoneInfo) -> None:
    start, end = day_start(at, zone), next_day_start(at, zone)
    assert start <= at < end
    assert timedelta(hours=22) < end - start <= timedelta(hours=25)
    assert day_start(start, zone) == day_start(end - timedelta(microseconds=1), zone) == start
    assert next_day_start(start, zone) == end == day_start(end, zone)


@given(instants, zones)
def test_a_day_begins_where_the_local_date_changes(at: datetime, zone: ZoneInfo) -> None:
    start = day_start(at, zone)
    assert (start - timedelta(seconds=1)).astimezone(zone).date() < start.astimezone(zone).date()
    assert start.tzinfo is UTC


@given(instants, st.timedeltas(timedelta(0), timedelta(days=40)), zones)
def test_bounds_are_the_beginnings_of_all_days_of_a_stretch(first: datetime, length: timedelta, zone: ZoneInfo) -> None:
    bounds = day_bounds(first, first + length, zone)
    assert bounds[0] <= first
    assert bounds[-2] <= first + length < bounds[-1]
    assert all(next_day_start(one, zone) == other for one, other in pairwise(bounds))


@given(instants, st.lists(st.timedeltas(timedelta(0), timedelta(days=400)), max_size=20), zones)
@settings(deadline=None)
def test_a_column_of_instants_gives_what_each_alone_gives(first: datetime, later: list[timedelta], zone: ZoneInfo) -> None:
    ats = [first + one for one in later]
    epoch, unit = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
    wanted = [(day_start(at, zone) - epoch) // unit for at in ats]
    assert day_starts_us(np.array([(at - epoch) // unit for at in ats], dtype=np.int64), zone).tolist() == wanted
