"""Silence of assets, against the plain way: tick by tick, reading by reading."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain.alert.absence import Silence, Stand, silences, together
from citybrain.alert.gaps import Gaps
from citybrain.alert.lifecycle import Flag

S, M = 1_000_000, 60_000_000
MOMENTS = st.one_of(st.integers(0, 40 * 60).map(lambda s: s * S), st.integers(0, 40).map(lambda m: m * M))
READINGS = st.lists(MOMENTS, min_size=1, max_size=20, unique=True).map(sorted)
LONGER = st.sampled_from((6 * S, 30 * S, M, 90 * S, 5 * M, 10 * M + S))
GAPS = st.lists(st.tuples(MOMENTS, st.integers(1, 600).map(lambda s: s * S)), max_size=3)
Told = list[tuple[int, int | None]]


def lost(gaps: list[tuple[int, int]], begin: int, end: int) -> int:
    """µs of [begin, end) in gaps, second by second."""
    return sum(any(one <= at < one + long for one, long in gaps) for at in range(begin, end, S)) * S


def plainly(readings: list[int], longer: int, gaps: list[tuple[int, int]], final: int) -> Told:
    """A tick at a time."""
    found: Told = []
    live: int | None = None
    ended = -1
    for tick in range(final + 1):
        before = [at for at in readings if at < tick * M]
        if live is not None and any(at >= live * M for at in before):
            found.append((live, tick))
            live, ended = None, tick
        if live is None and before and tick > ended:
            last = before[-1]
            if tick * M - last - lost(gaps, last, tick * M) > longer:
                live = tick
    if live is not None:
        after = [at for at in readings if at >= live * M]
        found.append((live, after[0] // M + 1 if after else None))
    return found


def told(readings: list[int], longer: int, stand: Stand, gaps: list[tuple[int, int]] | None = None) -> Told:
    silence = Silence(longer, Gaps((begin, begin + long) for begin, long in gaps or []))
    return [(one.started, one.ended) for one in silences(readings, silence, stand)]


@given(READINGS, LONGER, GAPS, st.integers(5, 60))
def test_silences_are_those_of_a_walk_over_all_ticks(
    readings: list[int], longer: int, gaps: list[tuple[int, int]], final: int
) -> None:
    assert told(readings, longer, Stand(-1, final), gaps) == plainly(readings, longer, gaps, final)


@given(READINGS, LONGER, st.integers(0, 45))
def test_what_is_settled_needs_only_the_last_reading_before_it(readings: list[int], longer: int, settled: int) -> None:
    every = told(readings, longer, Stand(-1, 60))
    live = next((start for start, end in every if start <= settled and (end is None or end > settled)), None)
    at = settled * M
    known = [one for one in readings if one < at][-1:] + [one for one in readings if one >= at]
    expected = [(start, end) for start, end in every if start > settled or start == live]
    assert told(known, longer, Stand(settled, 60, live)) == expected


def test_a_reading_on_the_edge_is_still_heard() -> None:
    assert told([0], 5 * M, Stand(-1, 60)) == [(6, None)]
    assert told([1], 5 * M, Stand(-1, 60)) == [(6, None)]
    assert told([0, 6 * M], 5 * M, Stand(-1, 60)) == [(6, 7), (12, None)]
    assert told([0, 6 * M - 1], 5 * M, Stand(-1, 60)) == [(11, None)]


def test_who_never_spoke_is_not_silent() -> None:
    assert told([], M, Stand(-1, 60)) == []


def test_our_own_downtime_does_not_count() -> None:
    assert told([0], 5 * M, Stand(-1, 60), [(2 * M, 10 * M)]) == [(16, None)]


def test_a_silence_that_began_by_the_settled_tick_is_never_opened() -> None:
    assert told([0], 5 * M, Stand(6, 60)) == []
    assert told([0, 30 * M], 5 * M, Stand(6, 60)) == [(36, None)]


def test_a_reading_as_old_as_what_is_settled_ends_nothing() -> None:
    assert told([0, 8 * M], 5 * M, Stand(20, 60, 6)) == [(6, None)]
    assert told([0, 8 * M, 20 * M], 5 * M, Stand(20, 30, 6)) == [(6, 21), (26, None)]


def test_gaps_are_merged_and_touch_what_they_overlap() -> None:
    gaps = Gaps([(10, 20), (15, 30), (40, 50), (45, 46), (60, 60)])
    assert (gaps.begins.tolist(), gaps.ends.tolist()) == ([10, 40], [30, 50])
    begins, ends = np.array([0, 0, 30, 29, 35, 49]), np.array([10, 11, 40, 30, 60, 70])
    assert gaps.touch(begins, ends).tolist() == [False, True, False, True, True, True]
    assert bool(gaps)
    assert not Gaps()


@pytest.mark.parametrize(("quiet", "spoke", "held"), [(4, 0, False), (5, 0, True), (5, 4, True), (5, 5, False), (6, 5, True)])
def test_five_and_more_than_half_of_a_group_are_the_group(quiet: int, spoke: int, held: bool) -> None:
    silent = pl.DataFrame({"group": ["source:/x"] * quiet, "started": [5] * quiet, "ended": [7] * quiet})
    armed = pl.DataFrame({"group": ["source:/x"] * (quiet + spoke), "since": [0] * (quiet + spoke)})
    flags = together(silent, armed, 3, 8)
    assert flags["tick"].to_list() == [4, 5, 6, 7, 8]
    assert flags["flag"].to_list() == [0, *([int(Flag.TRUE) if held else 0] * 2), 0, 0]


def test_groups_do_not_mix() -> None:
    silent = pl.DataFrame({"group": ["a"] * 5 + ["b"] * 3, "started": [5, 5, 5, 5, 6, 1, 1, 1], "ended": [None] * 8})
    armed = pl.DataFrame({"group": ["a"] * 5 + ["b"] * 3, "since": [0] * 8})
    flags = together(silent, armed, 4, 6).filter(pl.col("flag") == int(Flag.TRUE))
    assert flags.select("group", "tick").rows() == [("a", 6)]
