"""Alerts that stand are brought to what the ticks say now; once settled they are the same however the readings came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from citybrain.alert.episodes import Change, Row, Span, episodes_of, reconcile
from citybrain.alert.lifecycle import Flag, History, Holding, Run, begin, fold, is_quiet, trimmed

LATENESS = 6
AT_ONCE = Holding(0, 0)
END = 60
WORDS = {"c": Flag.CLEAR, "b": Flag.BETWEEN, "T": Flag.TRUE, "-": Flag.STILL}
Lines = Counter[tuple[int | None, str, int]]


class Reading(NamedTuple):
    """At a minute, of a value, that arrives so many minutes later."""

    minute: int
    value: int
    delay: int


@dataclass
class Worker:
    """The worker's loop in memory, for one rule and one scope."""

    holding: Holding
    width: int
    early: bool
    values: dict[int, list[int]] = field(default_factory=dict)
    final: int = 0
    history: History = field(default_factory=lambda: begin(-LATENESS))
    rows: dict[UUID, Row] = field(default_factory=dict)
    log: list[tuple[UUID, str, int, bool]] = field(default_factory=list)
    told: list[tuple[UUID, str]] = field(default_factory=list)

    def take(self, readings: Sequence[Reading], final: int) -> None:
        """One pass: new readings, and time."""
        for one in readings:
            self.values.setdefault(one.minute, []).append(one.value)
        first = min([self.final + 1, *(one.minute + 1 for one in readings)])
        before, self.final = self.final, final
        self.history = fold(self.history, self._run(first, final), self.holding)
        last = max([final, *(one.minute + 1 for one in readings)]) if self.early else final
        seen = fold(self.history, self._run(final + 1, last), self.holding) if last > final else self.history
        span = Span(before - LATENESS, final - LATENESS, final, last)
        standing = [row for row in self.rows.values() if row.state != "retracted" and (row.provisional or row.ended is None)]
        for change in reconcile(episodes_of(seen), standing, span):
            self._apply(change)
        self.history = trimmed(self.history, final - LATENESS)
        assert sum(row.ended is None for row in self.rows.values()) <= 1

    def _run(self, first: int, last: int) -> Run:
        ticks = range(first, last + 1)
        windows = [[value for m in range(tick - self.width, tick) for value in self.values.get(m, ())] for tick in ticks]
        flags = [int((Flag.CLEAR, Flag.BETWEEN, Flag.TRUE, Flag.TRUE)[max(seen)] if seen else Flag.STILL) for seen in windows]
        return Run(ticks, flags, [float(max(seen)) if seen else None for seen in windows])

    def _apply(self, change: Change) -> None:
        key = change.key or UUID(int=len(self.rows) + 1)
        if change.state == "dropped":
            assert not [line for line in self.log if line[0] == key]
            self.rows[key] = Row(key, "pending", -99, None, -99, -99, None, False)
            return
        if change.state == "retracted":
            assert not [line for line in self.log if line[0] == key and not line[3]]
            self.rows[key] = Row(key, "retracted", change.started, change.fired, change.ended, 0, None, False)  # type: ignore[arg-type]
        else:
            self.rows[key] = Row(
                key, change.state, change.started, change.fired, change.ended, change.since, change.peak, change.provisional
            )
        self.log += [(key, *line) for line in change.log]
        self.told += [(key, one) for one in change.tells]

    def settled(self) -> list[tuple[int, int | None, int | None, float | None]]:
        return sorted(
            (row.started, row.fired, row.ended, row.peak)  # type: ignore[type-var]
            for row in self.rows.values()
            if row.state != "retracted" and row.fired is not None
        )

    def lines(self) -> Lines:
        return Counter((self.rows[key].fired, kind, tick) for key, kind, tick, provisional in self.log if not provisional)


READINGS = st.lists(
    st.builds(Reading, st.integers(1, 40), st.sampled_from((0, 0, 1, 2, 3)), st.integers(0, LATENESS - 1)), max_size=40
)
HOLDINGS = st.builds(Holding, st.sampled_from((0, 0, 1, 3)), st.sampled_from((0, 2, 3)))


def lived(readings: list[Reading], passes: set[int], worker: Worker) -> Worker:
    """Readings come with their delays; a pass takes what has come since the one before it."""
    waiting: list[Reading] = []
    for now in range(1, END + 1):
        waiting += [one for one in readings if one.minute + one.delay == now]
        if now in passes or now >= END - 1:
            worker.take(waiting, now)
            waiting = []
    worker.take([], END + LATENESS + 1)
    return worker


@settings(max_examples=400)
@given(READINGS, HOLDINGS, st.integers(1, 3), st.booleans(), st.sets(st.integers(1, END)))
def test_settled_episodes_and_their_log_do_not_depend_on_how_readings_came(
    readings: list[Reading], holding: Holding, width: int, early: bool, passes: set[int]
) -> None:
    at_once = lived([one._replace(delay=0) for one in readings], set(range(END)), Worker(holding, width, early=False))
    worker = lived(readings, passes, Worker(holding, width, early))
    assert worker.settled() == at_once.settled()
    assert worker.lines() == at_once.lines()
    assert max(worker.lines().values(), default=1) == 1


@settings(max_examples=300)
@given(READINGS, HOLDINGS, st.integers(1, 3), st.booleans(), st.sets(st.integers(1, END)))
def test_whoever_is_told_of_a_beginning_is_told_of_its_end(
    readings: list[Reading], holding: Holding, width: int, early: bool, passes: set[int]
) -> None:
    worker = lived(readings, passes, Worker(holding, width, early))
    for key, row in worker.rows.items():
        told = [kind for one, kind in worker.told if one == key]
        assert told == (["firing", "resolved"] * len(told))[: len(told)]
        assert len(told) % 2 == (1 if row.ended is None and row.fired is not None else 0)
        assert bool(told) == (row.fired is not None)


def of(text: str, holding: Holding = AT_ONCE, base: int = 0) -> History:
    run = Run(range(base + 1, base + 1 + len(text)), [int(WORDS[letter]) for letter in text], [None] * len(text))
    return fold(begin(base), run, holding)


def row(number: int, state: str, started: int, fired: int | None, ended: int | None = None, since: int | None = None) -> Row:
    return Row(UUID(int=number), state, started, fired, ended, since or ended or fired or started, None, provisional=True)  # type: ignore[arg-type]


def told_of(
    history: History, rows: list[Row], span: Span
) -> list[tuple[int | None, str, int | None, int | None, tuple[str, ...]]]:
    return [
        (one.key and one.key.int, one.state, one.fired, one.ended, one.tells)
        for one in reconcile(episodes_of(history), rows, span)
    ]


def test_pending_tells_nobody_and_leaves_nothing() -> None:
    span = Span(0, 0, 3, 3)
    (opened,) = reconcile(episodes_of(of("cTT", Holding(5, 0))), [], span)
    assert (opened.state, opened.log, opened.tells) == ("pending", (), ())
    (gone,) = reconcile(episodes_of(of("cTTc", Holding(5, 0))), [row(1, "pending", 2, None)], span)
    assert (gone.state, gone.log, gone.tells) == ("dropped", (), ())


def test_a_revision_moves_the_start_and_keeps_the_id() -> None:
    changes = reconcile(episodes_of(of("ccTTT")), [row(1, "firing", 4, 4)], Span(0, 0, 5, 5))
    assert [(one.key, one.started, one.tells, [line.kind for line in one.log]) for one in changes] == [
        (UUID(int=1), 3, (), ["revised"])
    ]


def test_an_open_page_follows_what_fires_now() -> None:
    split = told_of(of("TTcTT"), [row(1, "firing", 1, 1)], Span(0, 0, 5, 5))
    assert split == [(None, "resolved", 1, 3, ("firing", "resolved")), (1, "firing", 4, None, ())]


def test_a_settled_beginning_stays_with_its_alert() -> None:
    settled = trimmed(of("TTcTT"), 1)
    assert told_of(settled, [row(1, "firing", 1, 1)], Span(1, 1, 5, 5)) == [
        (1, "resolved", 1, 3, ("resolved",)), (None, "firing", 4, None, ("firing",))
    ]  # fmt: skip


def test_at_an_open_tick_true_opens_false_ends_and_true_again_is_another() -> None:
    span = Span(0, 0, 3, 4)
    assert told_of(of("cccT"), [], span) == [(None, "firing", 4, None, ("firing",))]
    ended = row(1, "resolved", 4, 4, 4)
    assert told_of(of("cccc"), [row(1, "firing", 4, 4)], span) == [(1, "resolved", 4, 4, ("resolved",))]
    assert told_of(of("cccc"), [ended], span) == []
    assert told_of(of("cccT"), [ended], span) == [(None, "firing", 4, None, ("firing",))]


def test_what_held_at_no_final_tick_is_retracted_and_its_end_told_once() -> None:
    final = Span(0, 0, 4, 4)
    assert told_of(of("cccc"), [row(1, "firing", 4, 4)], final) == [(1, "retracted", 4, 4, ("resolved",))]
    assert told_of(of("cccc"), [row(1, "resolved", 4, 4, 4)], final) == [(1, "retracted", 4, 4, ())]
    assert told_of(of("cccT"), [row(1, "resolved", 4, 4, 4), row(2, "firing", 4, 4)], final) == [(1, "retracted", 4, 4, ())]


def test_an_end_that_was_told_too_early_is_told_to_fire_again() -> None:
    assert told_of(of("TTTT"), [row(1, "resolved", 1, 1, 3)], Span(0, 0, 4, 4)) == [(1, "firing", 1, None, ("firing",))]


def test_nothing_is_opened_at_settled_ticks() -> None:
    assert told_of(trimmed(of("TTT"), 2), [], Span(2, 2, 3, 3)) == []


def test_settled_transitions_are_logged_once_for_good() -> None:
    history = of("TTcc", Holding(0, 1))
    (first,) = reconcile(episodes_of(history), [], Span(0, 0, 4, 4))
    assert [(line.kind, line.tick, line.provisional) for line in first.log] == [
        ("firing", 1, True), ("recovering", 3, True), ("resolved", 4, True)
    ]  # fmt: skip
    stands = Row(UUID(int=1), "resolved", 1, 1, 4, 4, None, provisional=True)
    (second,) = reconcile(episodes_of(history), [stands], Span(0, 3, 9, 9))
    assert [(line.kind, line.tick, line.provisional) for line in second.log] == [("firing", 1, False), ("recovering", 3, False)]
    assert second.provisional
    (third,) = reconcile(episodes_of(trimmed(history, 3)), [stands], Span(3, 4, 9, 9))
    assert [(line.kind, line.tick, line.provisional) for line in third.log] == [("resolved", 4, False)]
    assert not third.provisional
    assert is_quiet(trimmed(history, 4))
