"""Readings to minutes, and minutes to what they make dirty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from citybrain.aggregate.columns import MAX_MICROS, micros_of, moment_of
from citybrain.aggregate.decode import decode
from citybrain.aggregate.windows import dirty_rows, end_of, minutes, paired, with_events
from citybrain.bus.port import Batch
from citybrain.store.partitions import month_of
from records import GRIDS, T0, accepted, minutes_later, occupancy, reading, record, register


def rows_of(*contents: dict[str, Any]) -> list[dict[str, Any]]:
    decoded = decode([Batch(0, 0, [b""] * len(contents), [""] * len(contents), [record(one).value for one in contents])], {0: 0})
    assert decoded.undecodable == []
    return minutes(with_events(decoded.readings, decoded.events)).sort("metric", "area", "minute").to_dicts()


def test_sums_are_exact_beyond_what_64_bits_hold() -> None:
    most = accepted("x", T0, [reading("water.flow", 1_000_000_000)])
    many = [most | {"id": f"x{n}"} for n in range(10_000)]
    [row] = rows_of(*many)
    assert int(row["sum"]) == 10_000 * MAX_MICROS > 2**63
    assert (row["count"], row["min"], row["max"]) == (10_000, MAX_MICROS, MAX_MICROS)


def test_a_minute_holds_its_first_microsecond_and_not_the_next_minutes() -> None:
    inside = [T0, T0 + timedelta(seconds=59, microseconds=999_999)]
    readings = [reading("water.flow", 1)]
    found = rows_of(*[accepted(f"a{n}", at, readings) for n, at in enumerate([*inside, minutes_later(1)])])
    assert [(moment_of(row["minute"]), row["count"]) for row in found] == [(T0, 2), (minutes_later(1), 1)]


def test_the_last_reading_of_a_moment_is_that_of_the_greatest_source_and_id_bytewise() -> None:
    order = [("/a", "é", 1), ("/a ", "0", 2), ("/b", "Z", 3), ("/b", "z", 4), ("/b", "a", 5)]
    [row] = rows_of(*[accepted(one, T0, [reading("water.flow", n)], source=source) for source, one, n in order])
    assert row["latest"].split("\x01")[1:] == ["/b", "z", "4000000"]


def test_without_a_subject_the_source_has_the_row_and_nobody_reports() -> None:
    [row] = rows_of(accepted("a", T0, [reading("citizen.reports", 1)], subject=None, source="/s", type="citizen.report"))
    assert (row["subject"], row["source"], row["subjects"], row["area"]) == (None, "/s", 0, GRIDS[0])


def test_a_metric_without_numerators_has_none_and_one_with_them_their_sums() -> None:
    occupied, ratio = rows_of(occupancy("a", T0, 3, 7), occupancy("b", T0, 4, 7))
    assert (occupied["part"], occupied["weight"]) == (None, None)
    assert (ratio["part"], ratio["weight"]) == ("7000000", "14000000")


def test_what_needs_a_partner_is_in_no_minute_and_in_the_pairs() -> None:
    decoded = decode([Batch(0, 0, [b""], [""], [record(register("a", T0, 5)).value])], {0: 0})
    readings = with_events(decoded.readings, decoded.events)
    assert minutes(readings)["metric"].to_list() == ["water.register"]
    at = micros_of(T0)
    assert paired(readings) == [("water.consumption", "meter-1", "register", at, "/test\x01a", GRIDS[0], "register", 5_000_000)]


@pytest.mark.parametrize(
    ("zone", "at", "begin", "end"),
    [
        ("Asia/Shanghai", "2026-03-01T15:59:59+00:00", "2026-02-28T16:00+00:00", "2026-03-01T16:00+00:00"),
        ("Europe/London", "2024-03-31T12:00:00+00:00", "2024-03-31T00:00+00:00", "2024-03-31T23:00+00:00"),
        ("Europe/London", "2024-10-27T23:30:00+00:00", "2024-10-26T23:00+00:00", "2024-10-28T00:00+00:00"),
        ("Asia/Beirut", "2024-03-30T22:00:00+00:00", "2024-03-30T22:00+00:00", "2024-03-31T21:00+00:00"),
        ("Asia/Kathmandu", "2025-12-31T18:15:00+00:00", "2025-12-31T18:15+00:00", "2026-01-01T18:15+00:00"),
    ],
)
def test_a_dirty_day_is_the_citys_and_ends_where_the_next_begins(zone: str, at: str, begin: str, end: str) -> None:
    found = {row["step"]: row for row in dirty_rows([5], [micros_of(datetime.fromisoformat(at))], ZoneInfo(zone)).to_dicts()}
    day = datetime.fromisoformat(begin)
    assert moment_of(found["1d"]["start"]) == day
    assert end_of("1d", day, ZoneInfo(zone)) == datetime.fromisoformat(end)
    assert moment_of(found["1h"]["start"]) == datetime.fromisoformat(at).replace(minute=0, second=0)


def test_minutes_of_one_hour_make_it_dirty_once() -> None:
    starts = [micros_of(minutes_later(n)) for n in (1, 2, 2, 59)]
    steps = dirty_rows([5, 5, 5, 5], starts, ZoneInfo("UTC"))["step"].to_list()
    assert sorted(steps) == ["1d", "1h", "1m", "1m", "1m"]


def test_the_last_instant_of_a_year_belongs_to_december() -> None:
    assert month_of(datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == (2025, 12)
    assert month_of(datetime.fromisoformat("2026-01-01T07:00:00+08:00")) == (2025, 12)
