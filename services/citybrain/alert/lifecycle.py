"""Where a rule stands for a scope, tick by tick: inactive, pending, firing, recovering. Called by worker and `rules test`.

Pure and total. `for` and `keep_firing_for` are measured on ticks. Agrees with Prometheus on threshold, `for` and
`keep_firing_for`. A history begins with the state at the last settled tick: what lies before never changes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import Literal, NamedTuple

from citybrain.rulebook.model import Rule

_MINUTE = timedelta(minutes=1)
Worst = Literal["max", "min"]


class Flag(IntEnum):
    """What a rule sees of a scope at a tick."""

    CLEAR = 0  # not `when`, and `clear`
    BETWEEN = 1  # neither: only rules with a `clear` of their own know this
    TRUE = 2  # `when`
    STILL = 3  # nothing is known (no data, kept): the state stands still


class Phase(IntEnum):
    """The states of a condition; an episode that ended is inactive again."""

    INACTIVE = 0
    PENDING = 1
    FIRING = 2
    RECOVERING = 3


class State(NamedTuple):
    """Ticks are minutes since 1970. `since`: of this phase; `started`: when the condition became true; `peak`: so far."""

    phase: Phase = Phase.INACTIVE
    since: int = 0
    started: int = 0
    fired: int | None = None
    peak: float | None = None


INACTIVE = State()


class Entry(NamedTuple):
    """The state from a tick on."""

    tick: int
    state: State


History = tuple[Entry, ...]
"""The state at the last settled tick, then every change; never empty."""


class Holding(NamedTuple):
    """How long a rule waits, in whole ticks, and which values are the worst."""

    hold: int
    keep: int
    worst: Worst = "max"


class Run(NamedTuple):
    """What is seen of one scope at ticks in order. `watched`: the figure that says how bad it is."""

    ticks: Sequence[int]
    flags: Sequence[int]
    watched: Sequence[float | None]


def holding_of(rule: Rule, worst: Worst = "max") -> Holding:
    """A rule's waiting times; parts of a minute last until the next tick."""
    return Holding(-(-rule.hold // _MINUTE), -(-rule.keep_firing_for // _MINUTE), worst)


def step(state: State, tick: int, flag: Flag, holding: Holding) -> State:
    """The state at a tick, from that at the one before."""
    if flag is Flag.STILL:
        return state
    match state.phase:
        case Phase.INACTIVE | Phase.PENDING:
            return _waiting(state, tick, flag, holding.hold)
        case Phase.FIRING | Phase.RECOVERING:
            return _alight(state, tick, flag, holding.keep)


def _waiting(state: State, tick: int, flag: Flag, hold: int) -> State:
    if flag is not Flag.TRUE:
        return INACTIVE
    pending = state if state.phase is Phase.PENDING else State(Phase.PENDING, tick, tick)
    return _fired(pending, tick) if tick - pending.started >= hold else pending


def _alight(state: State, tick: int, flag: Flag, keep: int) -> State:
    if flag is not Flag.CLEAR:
        return state if state.phase is Phase.FIRING else state._replace(phase=Phase.FIRING, since=tick)
    recovering = state if state.phase is Phase.RECOVERING else state._replace(phase=Phase.RECOVERING, since=tick)
    return INACTIVE if tick - recovering.since >= keep else recovering


def _fired(pending: State, tick: int) -> State:
    return pending._replace(phase=Phase.FIRING, since=tick, fired=tick)


def begin(settled: int, state: State = INACTIVE) -> History:
    """A history that knows nothing but the state at the last settled tick."""
    return (Entry(settled, state),)


def state_at(history: History, tick: int) -> State:
    """The state at a tick, which is not before the history's first."""
    return history[bisect_right(history, tick, key=lambda entry: entry.tick) - 1].state


def fold(history: History, run: Run, holding: Holding) -> History:
    """The history with the ticks of `run` seen anew: what it held from the first of them on is dropped, so a run goes through
    to the last tick that was seen. Ticks that are settled are not looked at."""
    skipped = bisect_right(run.ticks, history[0].tick)
    if skipped == len(run.ticks):
        return history
    kept = list(history[: bisect_left(history, run.ticks[skipped], key=lambda entry: entry.tick)])
    state = kept[-1].state
    for n in range(skipped, len(run.ticks)):
        tick = run.ticks[n]
        after = _watched(step(state, tick, Flag(run.flags[n]), holding), run.watched[n], holding.worst)
        if after != state:
            kept.append(Entry(tick, after))
            state = after
    return tuple(kept)


def _watched(state: State, figure: float | None, worst: Worst) -> State:
    """With the worst figure of the ticks at which the episode fires."""
    if state.phase is not Phase.FIRING or figure is None:
        return state
    if state.peak is None or (figure > state.peak if worst == "max" else figure < state.peak):
        return state._replace(peak=figure)
    return state


def trimmed(history: History, settled: int) -> History:
    """What may still change, and the state that it begins from."""
    if settled <= history[0].tick:
        return history
    return (Entry(settled, state_at(history, settled)), *(entry for entry in history if entry.tick > settled))


def is_quiet(history: History) -> bool:
    """Whether it says no more than that nothing is the matter."""
    return all(entry.state == INACTIVE for entry in history)


def next_settled(history: History) -> int | None:
    """The next tick whose settling matters; None when nothing is open."""
    return history[1].tick if len(history) > 1 else None


def to_rows(history: History) -> list[list[object]]:
    """As it is kept in JSON: [tick, phase, since, started, fired, peak] of each entry."""
    return [[tick, int(state.phase), *state[1:]] for tick, state in history]


def from_rows(rows: Iterable[Sequence[object]]) -> History:
    """The other way round."""
    return tuple(Entry(_whole(tick), _state(*state)) for tick, *state in rows)


def _state(phase: object, since: object, started: object, fired: object, peak: object) -> State:
    worst = None if peak is None else float(str(peak))
    return State(Phase(_whole(phase)), _whole(since), _whole(started), None if fired is None else _whole(fired), worst)


def _whole(number: object) -> int:
    return int(str(number))
