"""Columns of windows, against the plain way: exact fractions, one window at a time."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain.alert.windows import ALL, Source, as_minutes, needs_leaves, windows

TOTAL, SUM, MEAN, MAX, RATIO = range(5)
BIG = 10**15
FIGURES = st.one_of(st.integers(-5, 5), st.integers(-BIG, BIG), st.sampled_from((BIG, -BIG, 1, 333_333)))


class Reading(NamedTuple):
    """Of a leaf in an area, at a minute."""

    area: int
    leaf: int
    minute: int
    micros: int
    weight: int


READINGS = st.lists(
    st.builds(
        Reading, st.integers(1, 2), st.integers(10, 13), st.integers(0, 12), FIGURES, st.sampled_from((0, 10**6, 3 * 10**6))
    ),
    max_size=40,
)


def rows(readings: list[Reading], mode: int, by: str) -> list[dict[str, Any]]:
    """Minutes as tables hold them."""
    found: dict[tuple[int, int], list[tuple[int, Reading]]] = {}
    for n, one in enumerate(readings):
        found.setdefault((one.leaf if by == "leaf" else one.area, one.minute), []).append((n, one))
    return [
        {
            "series": series,
            "minute": minute,
            "count": len(said),
            "sum": str(sum(one.micros for _, one in said)),
            "min": min(one.micros for _, one in said),
            "max": max(one.micros for _, one in said),
            "latest": f"{minute:016}\x01s{max(n for n, _ in said):04}\x01{max(said)[1].micros}",
            "part": str(sum(one.micros for _, one in said) * 10**6) if mode == RATIO else None,
            "weight": str(sum(one.weight for _, one in said) * 10**6) if mode == RATIO else None,
            "subjects": 1,
        }
        for (series, minute), said in found.items()
    ]


def table(found: list[dict[str, Any]]) -> pl.DataFrame:
    names = ("series", "minute", "count", "sum", "min", "max", "latest", "part", "weight", "subjects")
    texts = dict.fromkeys(("sum", "latest", "part", "weight"), pl.String)
    every = (*names, "member") if found and "member" in found[0] else names
    return pl.DataFrame(found, schema={name: texts.get(name, pl.Int64) for name in every})


def even(fraction: Fraction) -> float:
    return round(fraction) / 10**6


def expected(said: list[tuple[int, Reading]]) -> dict[str, float | int | None]:
    if not said:
        return dict.fromkeys(("count", "sum", "min", "max", "avg", "last"))
    figures = [one.micros for _, one in said]
    last = max(said, key=lambda pair: (pair[1].minute, pair[0]))[1].micros
    avg = even(Fraction(sum(figures), len(figures)))
    return {
        "count": len(figures), "sum": sum(figures) / 10**6, "min": min(figures) / 10**6, "max": max(figures) / 10**6, "avg": avg,
        "last": last / 10**6,
    }  # fmt: skip


def same(one: float | None, other: float | None) -> bool:
    """Beyond 53 bits the nearest float may be missed by one place."""
    return one == other if one is None or other is None or abs(other) < 2**33 else abs(one / other - 1) < 1e-15


@given(READINGS, st.integers(1, 5), st.lists(st.tuples(st.integers(10, 14), st.integers(-3, 20)), min_size=1, max_size=12))
def test_windows_of_assets_are_those_of_their_readings(readings: list[Reading], width: int, asked: list[tuple[int, int]]) -> None:
    source = Source(as_minutes(table(rows(readings, SUM, "leaf"))), SUM, area=False)
    frame = pl.DataFrame(asked, schema={"series": pl.Int64, "tick": pl.Int64}, orient="row")
    found = windows(frame, source, width, ALL | {"previous_avg", "previous_max"}).rows(named=True)
    numbered = list(enumerate(readings))
    for (series, tick), row in zip(asked, found, strict=True):
        now = expected([one for one in numbered if one[1].leaf == series and tick - width <= one[1].minute < tick])
        before = expected([one for one in numbered if one[1].leaf == series and tick - 2 * width <= one[1].minute < tick - width])
        assert all(same(row[name], figure) for name, figure in now.items()), (row, now)
        assert (row["value"], row["has_data"]) == (row["avg"], now["count"] is not None)
        assert (row["previous_avg"], row["previous_max"]) == (before["avg"], before["max"])
        assert row["subjects"] == (None if now["count"] is None else 1)


@given(READINGS, st.integers(1, 5), st.sampled_from((TOTAL, SUM, MEAN, MAX, RATIO)))
def test_value_of_an_area_combines_its_subjects_own_values(readings: list[Reading], width: int, mode: int) -> None:
    members = {one.leaf: one.area for one in readings}
    readings = [one._replace(area=members[one.leaf]) for one in readings]
    leaves = [row | {"member": row["series"], "series": members[row["series"]]} for row in rows(readings, mode, "leaf")]
    source = Source(
        as_minutes(table(rows(readings, mode, "area"))), mode, area=True, leaves=as_minutes(table(leaves)) if leaves else None
    )
    asked = pl.DataFrame(
        [(area, tick) for area in (1, 2) for tick in (0, 1, 3, 7, 11, 14)], schema=["series", "tick"], orient="row"
    )
    for area, tick, has_data, value, subjects in (
        windows(asked, source, width, {"value", "subjects"}).select("series", "tick", "has_data", "value", "subjects").rows()
    ):
        inside = [one for one in readings if one.area == area and tick - width <= one.minute < tick]
        assert has_data == bool(inside)
        if inside:
            wanted = of_area(inside, mode)
            assert subjects == len({one.leaf for one in inside})
            assert (value is None) == (wanted is None)
            if value is not None and wanted is not None:
                assert value == pytest.approx(float(wanted) / 10**6, rel=1e-12, abs=1.1e-6)


def of_area(inside: list[Reading], mode: int) -> Fraction | None:
    by_leaf = [[one for one in inside if one.leaf == leaf] for leaf in {one.leaf for one in inside}]
    means = [Fraction(sum(one.micros for one in said), len(said)) for said in by_leaf]
    if mode == TOTAL:
        return Fraction(sum(one.micros for one in inside))
    if mode == SUM:
        return sum(means, Fraction(0))
    if mode == MEAN:
        return sum(means, Fraction(0)) / len(means)
    if mode == MAX:
        return max(means)
    weight = sum(Fraction(sum(one.weight for one in said), len(said)) for said in by_leaf)
    return sum(means, Fraction(0)) * 10**6 / weight if weight else None


def test_a_minute_of_an_area_is_read_as_it_is_stored() -> None:
    row = {"series": 1, "minute": 5, "count": 4, "sum": "9", "min": 1, "max": 3, "latest": "x\x013", "subjects": 3}
    shares = {"part": str(1_000_000 * 10**6), "weight": str(3 * 10**12)}
    asked = pl.DataFrame({"series": [1], "tick": [6]})
    values = {
        mode: windows(asked, Source(as_minutes(table([row | shares])), mode, area=True), 1, {"value", "subjects"}).row(0)[-2:]
        for mode in (SUM, MEAN, MAX, RATIO)
    }
    assert values == {SUM: (1.0, 3), MEAN: (0.333333, 3), MAX: (1.0, 3), RATIO: (0.333333, 3)}


def test_rows_of_one_scope_and_minute_are_added_up() -> None:
    row = {"series": 1, "minute": 5, "count": 1, "min": 1, "max": 1, "part": None, "weight": None, "subjects": 1}
    here, there = row | {"sum": "1000000", "latest": "1\x01a\x011000000"}, row | {"sum": "3000000", "latest": "2\x01a\x013000000"}
    source = Source(as_minutes(table([there, here])), SUM, area=False)
    found = windows(pl.DataFrame({"series": [1], "tick": [6]}), source, 1, {"avg", "last", "count"}).row(0, named=True)
    assert (found["avg"], found["last"], found["count"]) == (2.0, 3.0, 2)


def test_sums_beyond_64_bits_stay_exact() -> None:
    row = {
        "series": 1,
        "count": 10**6,
        "sum": str(10**21 + 1),
        "min": BIG,
        "max": BIG,
        "latest": "",
        "part": None,
        "weight": None,
    }
    source = Source(as_minutes(table([row | {"minute": n, "subjects": 1} for n in range(9)])), TOTAL, area=False)
    found = windows(pl.DataFrame({"series": [1], "tick": [9]}), source, 9, {"avg", "value"}).row(0, named=True)
    assert found["avg"] == 10**15 / 10**6
    assert found["value"] == (9 * 10**21 + 9) / 10**6


def test_expected_is_what_is_given() -> None:
    given_ones = pl.DataFrame({"series": [1], "tick": [6], "expected": [15]})
    asked = pl.DataFrame({"series": [1, 2], "tick": [6, 6]})
    source = Source(as_minutes(table([])), SUM, area=False, expected=given_ones)
    assert windows(asked, source, 15, {"expected"})["expected"].to_list() == [15, None]


@pytest.mark.parametrize(
    ("columns", "width", "mode", "area", "needed"),
    [
        ({"value"}, 5, MEAN, True, True), ({"value"}, 5, TOTAL, True, False), ({"subjects"}, 5, TOTAL, True, True),
        ({"value", "subjects"}, 1, MEAN, True, False), ({"avg", "sum"}, 5, MEAN, True, False), ({"value"}, 5, MEAN, False, False),
    ],
)  # fmt: skip
def test_leaves_are_needed_only_where_minutes_of_areas_do_not_tell(
    columns: set[str], width: int, mode: int, area: bool, needed: bool
) -> None:
    assert needs_leaves(columns, width, mode, area=area) is needed
