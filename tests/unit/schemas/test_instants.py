"""RFC 3339 in, one UTC form out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain_schemas.instants import format_time, parse_time

OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59)
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2018-04-05T17:31:00Z", datetime(2018, 4, 5, 17, 31, tzinfo=UTC)),
        ("2018-04-05t17:31:00z", datetime(2018, 4, 5, 17, 31, tzinfo=UTC)),
        ("2018-04-05T18:31:00+01:00", datetime(2018, 4, 5, 17, 31, tzinfo=UTC)),
        ("2018-04-05T16:31:00-01:00", datetime(2018, 4, 5, 17, 31, tzinfo=UTC)),
        ("2018-04-05T17:31:00-00:00", datetime(2018, 4, 5, 17, 31, tzinfo=UTC)),
        ("2018-04-05T17:31:00.5Z", datetime(2018, 4, 5, 17, 31, 0, 500_000, tzinfo=UTC)),
        ("2018-04-05T17:31:00.999999999Z", datetime(2018, 4, 5, 17, 31, 0, 999_999, tzinfo=UTC)),
    ],
)
def test_rfc_3339_times_are_read_as_instants(text: str, instant: datetime) -> None:
    assert parse_time(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "", "lunchtime", "2018-04-05", "2018-04-05T17:31Z", "2018-04-05T17:31:00", "2018-04-05 17:31:00Z", "20180405T173100Z",
        "2018-04-05T17:31:00X", "2018-04-05T17:31:00+25:00", "2018-04-05T17:31:00+05", "2018-04-05T17:31:00+0500",
        "2018-04-05T17:31:00+05:60", "2018-04-05T17:31:00.Z", "2018-04-05T17:31:00,5Z", "2018-02-30T00:00:00Z",
        "2016-12-31T23:59:60Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "2018-04-05T17:31:00Z ",
        "2018-04-05T17:31:00Z\n", "２018-04-05T17:31:00Z", "2018-04-05T17:31:00." + "0" * 60 + "Z",
    ],
)  # fmt: skip
def test_anything_else_is_no_time(text: str) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize("value", [None, 0, 1.5, True, [], {}, datetime(2018, 4, 5, tzinfo=UTC)])
def test_what_is_no_text_is_no_time(value: object) -> None:
    assert parse_time(value) is None


@given(MOMENTS)
def test_written_time_is_read_as_the_same_instant(at: datetime) -> None:
    text = format_time(at)
    assert parse_time(text) == at
    assert len(text) == len("2026-11-23T00:15:02.000000Z")


@given(MOMENTS, OFFSETS)
def test_offset_does_not_change_the_instant(at: datetime, minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    local = (at + timedelta(minutes=minutes)).replace(tzinfo=None).isoformat(timespec="microseconds")
    assert parse_time(f"{local}{sign}{hours:02}:{rest:02}") == at


@given(MOMENTS, MOMENTS)
def test_written_times_sort_as_the_instants_do(one: datetime, other: datetime) -> None:
    assert (format_time(one) < format_time(other)) == (one < other)
