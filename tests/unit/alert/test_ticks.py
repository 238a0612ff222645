"""What rules see at ticks: flags of many rules and scopes at once."""

from __future__ import annotations

import polars as pl
import pytest

from citybrain.alert.gaps import Gaps
from citybrain.alert.lifecycle import Flag, Run
from citybrain.alert.ticks import MINUTE_MICROS, columns_of, evaluate, leaves_needed, runs, worth_folding
from citybrain.alert.windows import Source, as_minutes
from citybrain.rulebook.model import Threshold
from rules import threshold

GAUGE_SUM, GAUGE_MEAN = 1, 2
CLEAR, BETWEEN, TRUE, STILL = map(int, Flag)


def source(values: dict[int, dict[int, float]]) -> Source:
    """Values by series and minute."""
    rows = [(series, minute, 1, round(value * 10**6)) for series, one in values.items() for minute, value in one.items()]
    frame = pl.DataFrame(rows, schema=["series", "minute", "count", "sum"], orient="row")
    latest = pl.concat_str(pl.lit("\x01"), pl.col("sum").cast(pl.String)).alias("latest")
    return Source(
        as_minutes(frame.with_columns(pl.col("sum").alias("min"), pl.col("sum").alias("max"), latest)), GAUGE_SUM, area=False
    )


def flags(rule: Threshold, values: dict[int, float], ticks: range, gaps: Gaps | None = None) -> list[int]:
    asked = pl.DataFrame({"rule": 0, "series": 1, "tick": ticks})
    return evaluate([rule], asked, source({1: values}), gaps or Gaps())["flag"].to_list()


def test_at_a_tick_the_window_before_it_is_seen() -> None:
    rule = threshold("max >= 1", window=2)
    assert flags(rule, {9: 0, 10: 1, 11: 0, 12: 0}, range(10, 15)) == [CLEAR, TRUE, TRUE, CLEAR, CLEAR]


def test_between_when_and_clear_there_is_a_third() -> None:
    assert flags(threshold("last >= 0.95", "last < 0.85"), {1: 0.95, 2: 0.9, 3: 0.85, 4: 0.84}, range(2, 6)) == [
        TRUE, BETWEEN, BETWEEN, CLEAR
    ]  # fmt: skip


def test_a_figure_at_the_threshold_counts() -> None:
    third = dict(enumerate((0.94, 0.95, 0.96)))
    assert flags(threshold("avg >= 0.95", window=3), third, range(3, 4)) == [TRUE]
    assert flags(threshold("sum >= 2.85", window=3), third, range(3, 4)) == [TRUE]


def test_what_a_condition_lacks_makes_it_false() -> None:
    rule = threshold("avg < previous * 0.7")
    assert flags(rule, {1: 10, 2: 8, 3: 5, 5: 1}, range(2, 7)) == [CLEAR, CLEAR, TRUE, STILL, CLEAR]


@pytest.mark.parametrize(("no_data", "expected"), [("keep", STILL), ("ok", CLEAR), ("fire", TRUE)])
def test_without_data_it_is_as_the_rule_says_but_never_in_a_gap(no_data: str, expected: int) -> None:
    rule = threshold("last > 0.5", no_data=no_data)
    down = Gaps([(5 * MINUTE_MICROS + 1, 6 * MINUTE_MICROS + 1)])
    assert flags(rule, {1: 0.8}, range(2, 10), down) == [TRUE, expected, expected, expected, STILL, STILL, expected, expected]


def test_data_in_a_gap_is_data() -> None:
    down = Gaps([(0, 9 * MINUTE_MICROS)])
    assert flags(threshold("last > 0.5", no_data="fire"), {1: 0.2}, range(2, 3), down) == [CLEAR]


def test_a_tumbling_window_is_seen_once() -> None:
    rule = threshold("count >= 1", window=5, tumbling=True)
    found = evaluate([rule], pl.DataFrame({"rule": 0, "series": 1, "tick": range(1, 16)}), source({1: {3: 1, 12: 1}}), Gaps())
    assert found.select("tick", "flag").rows() == [(5, TRUE), (10, STILL), (15, TRUE)]


def test_rules_that_share_windows_see_only_the_scopes_that_are_asked_of_them() -> None:
    rules = [threshold("avg > 1"), threshold("avg > 2"), threshold("avg > 1", no_data="fire"), threshold("min < 0", "max > 5")]
    asked = pl.DataFrame({"rule": [0, 0, 1, 2, 2, 3], "series": [1, 2, 2, 3, 1, 1], "tick": 5})
    found = evaluate(rules, asked, source({1: {4: 1.5}, 2: {4: 3}}), Gaps())
    assert found.select("rule", "series", "flag").rows() == [
        (0, 1, TRUE), (0, 2, TRUE), (1, 2, TRUE), (2, 1, TRUE), (2, 3, TRUE), (3, 1, BETWEEN)
    ]  # fmt: skip
    assert found["watched"].to_list() == [1.5, 3.0, 3.0, 1.5, None, 1.5]


def test_quiet_scopes_are_left_out_before_anything_is_made_of_them() -> None:
    asked = pl.DataFrame({"rule": 0, "series": [1, 1, 2, 2, 3, 3], "tick": [5, 6] * 3})
    found = evaluate([threshold("last > 1")], asked, source({1: {4: 2, 5: 0}, 2: {4: 0, 5: 0}, 3: {4: 0, 5: 0}}), Gaps())
    standing = pl.DataFrame({"rule": [0], "series": [3]})
    assert list(runs(worth_folding(found, standing))) == [
        ((0, 1), Run([5, 6], [TRUE, CLEAR], [2.0, 0.0])), ((0, 3), Run([5, 6], [CLEAR, CLEAR], [0.0, 0.0]))
    ]  # fmt: skip
    assert list(runs(found.clear())) == []


def test_what_a_rule_needs_is_told_beforehand() -> None:
    rule = threshold("value > previous * 2 and subjects > 3", window=5, per="street")
    assert columns_of(rule) == {"value", "subjects", "previous_value"}
    assert leaves_needed(rule, GAUGE_MEAN)
    assert not leaves_needed(threshold("value > 2", window=5), GAUGE_MEAN)
    assert not leaves_needed(threshold("value > 2", per="street"), GAUGE_MEAN)
