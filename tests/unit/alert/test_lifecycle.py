"""Where a rule stands for a scope: total, held, hysteretic, and the same however the ticks are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain.alert.episodes import Episode, episodes_of
from citybrain.alert.lifecycle import (
    INACTIVE,
    Flag,
    Holding,
    Phase,
    Run,
    State,
    begin,
    fold,
    from_rows,
    holding_of,
    is_quiet,
    next_settled,
    state_at,
    step,
    to_rows,
    trimmed,
)
from rules import threshold

BASE = 100
HOLDINGS = st.builds(Holding, st.integers(0, 5), st.integers(0, 5), st.sampled_from(("max", "min")))
SEEN = st.lists(st.tuples(st.sampled_from(list(Flag)), st.one_of(st.none(), st.integers(0, 9).map(float))), max_size=40)
WORDS = {"c": Flag.CLEAR, "b": Flag.BETWEEN, "T": Flag.TRUE, "-": Flag.STILL}


def run_of(seen: list[tuple[Flag, float | None]], first: int = BASE + 1) -> Run:
    return Run(range(first, first + len(seen)), [int(flag) for flag, _ in seen], [figure for _, figure in seen])


def story(text: str, hold: int = 0, keep: int = 0) -> list[Episode]:
    seen = [(WORDS[letter], None) for letter in text]
    return episodes_of(fold(begin(BASE), run_of(seen), Holding(hold, keep)))


def told(text: str, hold: int = 0, keep: int = 0) -> list[tuple[int, int | None, int | None]]:
    """(started, fired, ended), counted from the first letter."""
    after = [(one.started, one.fired, one.ended) for one in story(text, hold, keep)]
    return [tuple(None if tick is None else tick - BASE - 1 for tick in ticks) for ticks in after]  # type: ignore[misc]


@given(st.sampled_from(list(Phase)), st.sampled_from(list(Flag)), HOLDINGS, st.integers(0, 9), st.integers(0, 9))
def test_every_state_has_an_answer_to_every_flag(phase: Phase, flag: Flag, holding: Holding, held: int, fired: int) -> None:
    state = INACTIVE if phase is Phase.INACTIVE else State(phase, 50 - held, 40 - held, 40 if phase > Phase.PENDING else None)
    assert isinstance(step(state, 50 + fired, flag, holding), State)


@pytest.mark.parametrize(
    ("text", "hold", "keep", "expected"),
    [
        ("cccc", 0, 0, []),
        ("cTTc", 0, 0, [(1, 1, 3)]),
        ("cTTc", 3, 0, []),
        ("cTTTTc", 3, 0, [(1, 4, 5)]),
        ("TTcTTT", 2, 0, [(3, 5, None)]),
        ("Tcccc", 0, 3, [(0, 0, 4)]),
        ("TccTccc", 0, 3, [(0, 0, None)]),
        ("TbbbcT", 0, 0, [(0, 0, 4), (5, 5, None)]),
        ("TcbcTcc", 0, 2, [(0, 0, None)]),
        ("TcbcTccc", 0, 2, [(0, 0, 7)]),
        ("T---c", 0, 0, [(0, 0, 4)]),
        ("T---T", 3, 0, [(0, 4, None)]),
        ("T--c", 3, 0, []),
        ("bbbb", 0, 0, []),
    ],
)
def test_stories(text: str, hold: int, keep: int, expected: list[tuple[int, int | None, int | None]]) -> None:
    assert told(text, hold, keep) == expected


def test_transitions_are_told_in_order() -> None:
    (episode,) = story("TccTccc", 0, 2)
    assert [(one.kind, one.tick - BASE) for one in episode.transitions] == [
        ("firing", 1), ("recovering", 2), ("firing", 4), ("recovering", 5), ("resolved", 7)
    ]  # fmt: skip
    assert (episode.state, episode.since) == ("resolved", episode.ended)


def test_peak_is_the_worst_of_the_ticks_at_which_it_fires() -> None:
    seen = [(Flag.TRUE, 9.0), (Flag.TRUE, 5.0), (Flag.TRUE, 7.0), (Flag.CLEAR, 8.0), (Flag.TRUE, 6.0)]
    highest = fold(begin(BASE), run_of(seen), Holding(1, 2))
    lowest = fold(begin(BASE), run_of(seen), Holding(1, 2, "min"))
    assert [one.peak for one in episodes_of(highest)] == [7.0]
    assert [one.peak for one in episodes_of(lowest)] == [5.0]


def test_parts_of_a_minute_last_until_the_next_tick() -> None:
    rule = threshold("avg > 1", hold=3, keep=2)
    assert holding_of(rule) == Holding(3, 2)
    assert holding_of(threshold("avg > 1", hold=1.5), "min") == Holding(2, 0, "min")  # type: ignore[arg-type]


@given(SEEN, HOLDINGS)
def test_nothing_fires_before_its_time_and_never_two_at_once(seen: list[tuple[Flag, float | None]], holding: Holding) -> None:
    found = episodes_of(fold(begin(BASE), run_of(seen), holding))
    for one in found:
        if one.fired is None:
            assert one is found[-1]
            continue
        assert one.fired - one.started >= holding.hold
        held = [flag for tick, (flag, _) in enumerate(seen, BASE + 1) if one.started <= tick <= one.fired]
        assert set(held) <= {Flag.TRUE, Flag.STILL}
        assert held[0] is held[-1] is Flag.TRUE
    for one, other in pairwise(found):
        assert one.ended is not None
        assert one.ended < other.started


@given(SEEN, HOLDINGS)
def test_an_episode_ends_only_when_clear_was_held(seen: list[tuple[Flag, float | None]], holding: Holding) -> None:
    for one in episodes_of(fold(begin(BASE), run_of(seen), holding)):
        if one.ended is not None:
            last = [flag for tick, (flag, _) in enumerate(seen, BASE + 1) if one.ended - holding.keep <= tick <= one.ended]
            assert set(last) <= {Flag.CLEAR, Flag.STILL}
            assert last[-1] is Flag.CLEAR


@given(SEEN, HOLDINGS, st.integers(0, 40), st.integers(0, 40))
def test_cut_or_seen_again_the_history_is_the_same(
    seen: list[tuple[Flag, float | None]], holding: Holding, cut: int, again: int
) -> None:
    whole = fold(begin(BASE), run_of(seen), holding)
    halves = fold(fold(begin(BASE), run_of(seen[:cut]), holding), run_of(seen[cut:], BASE + 1 + cut), holding)
    repeated = fold(whole, run_of(seen[again:], BASE + 1 + again), holding)
    assert whole == halves == repeated
    assert from_rows(to_rows(whole)) == whole


@given(SEEN, SEEN, HOLDINGS, st.integers(BASE - 2, BASE + 45))
def test_trimming_what_is_settled_changes_nothing_later(
    first: list[tuple[Flag, float | None]], then: list[tuple[Flag, float | None]], holding: Holding, settled: int
) -> None:
    whole = fold(begin(BASE), run_of(first), holding)
    short = trimmed(whole, settled)
    later = run_of(then, max(settled, BASE + len(first)) + 1)
    assert short[0].tick == max(settled, BASE)
    after, expected = fold(short, later, holding), fold(whole, later, holding)
    for tick in range(short[0].tick, BASE + 100):
        assert state_at(after, tick) == state_at(expected, tick)
    assert (next_settled(short) or settled + 1) > settled


def test_settled_ticks_are_never_seen_again() -> None:
    settled = trimmed(fold(begin(BASE), run_of([(Flag.TRUE, 1.0)] * 4), Holding(0, 0)), BASE + 3)
    assert fold(settled, run_of([(Flag.CLEAR, 0.0)] * 3), Holding(0, 0)) == settled


def test_a_quiet_history_says_so() -> None:
    assert is_quiet(begin(BASE))
    assert not is_quiet(fold(begin(BASE), run_of([(Flag.TRUE, 1.0), (Flag.CLEAR, 1.0)]), Holding(0, 0)))
