"""What has to change of a scope's alerts so that they tell what the ticks now say. Called by worker and `rules test`. Pure.

Episodes come from a history (`episodes_of`) or, for absence, from readings (`absence.episodes`). `reconcile` compares them with
the rows that stand: it opens, moves on, revises, resolves, retracts and settles, and says what to log and whom to tell.
Ticks are minutes since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

from citybrain.alert.lifecycle import Entry, Phase, State

Standing = Literal["pending", "firing", "recovering", "resolved"]
Becomes = Standing | Literal["retracted", "dropped"]
Kind = Literal["firing", "recovering", "resolved", "revised", "retracted"]
Tell = Literal["firing", "resolved"]
_NAMES: dict[Phase, Standing] = {Phase.PENDING: "pending", Phase.FIRING: "firing", Phase.RECOVERING: "recovering"}


class Transition(NamedTuple):
    """A step of an episode, and its tick."""

    kind: Literal["firing", "recovering", "resolved"]
    tick: int


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch in which a condition holds: from `started`, when it became true, until it is resolved at `ended`.

    `since` is the tick of its state. `transitions`: those that are known, in order; settled ones may be missing.
    """

    state: Standing
    started: int
    fired: int | None
    ended: int | None
    since: int
    peak: float | None = None
    transitions: tuple[Transition, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """What stands of an alert that is live or not settled yet. `since`: the tick of its last transition that was logged."""

    key: UUID
    state: Standing
    started: int
    fired: int | None
    ended: int | None
    since: int
    peak: float | None
    provisional: bool


class LogEntry(NamedTuple):
    """A line for the alert's log."""

    kind: Kind
    tick: int
    provisional: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What an alert's row becomes. `key` None: a new one. `dropped`: a pending one that never fired goes, with its log.

    `fired` and `peak` are what is known now; the columns of the window that fired change whenever tick `fired` was seen anew.
    """

    key: UUID | None
    state: Becomes
    started: int
    fired: int | None
    ended: int | None
    since: int
    peak: float | None
    provisional: bool
    log: tuple[LogEntry, ...] = ()
    tells: tuple[Tell, ...] = ()


class Span(NamedTuple):
    """Where time stands for a scope: `base` was settled before this pass, `settled` is by now; `final` is the last final tick,
    `seen` the last tick that was looked at (open ones included)."""

    base: int
    settled: int
    final: int
    seen: int


def episodes_of(entries: Sequence[Entry]) -> list[Episode]:
    """The episodes of a history, in order; open ticks may follow the final ones. What was pending and fell back is none."""
    found: list[Episode] = []
    before, steps = entries[0].state, list[Transition]()
    for entry in entries[1:]:
        after = entry.state
        if after.phase is not before.phase:
            steps += _transitions(before, after, entry.tick)
            if after.phase is Phase.INACTIVE and before.fired is not None:
                found.append(Episode("resolved", before.started, before.fired, entry.tick, entry.tick, before.peak, tuple(steps)))
            if after.phase is Phase.INACTIVE:
                steps = []
        before = after
    if before.phase is not Phase.INACTIVE:
        name = _NAMES[before.phase]
        found.append(Episode(name, before.started, before.fired, None, before.since, before.peak, tuple(steps)))
    return found


def _transitions(before: State, after: State, tick: int) -> Iterator[Transition]:
    """What a change of phase says in the log; with `keep_firing_for: 0` an episode resolves at once."""
    match after.phase:
        case Phase.FIRING:
            yield Transition("firing", tick)
        case Phase.RECOVERING:
            yield Transition("recovering", tick)
        case Phase.INACTIVE if before.fired is not None:
            yield Transition("resolved", tick)
        case Phase.INACTIVE | Phase.PENDING:
            pass


def reconcile(episodes: Sequence[Episode], rows: Sequence[Row], span: Span) -> list[Change]:
    """What to do, ends first, so that never two alerts of a scope are live. Rows that stay as they are give nothing."""
    pairs = _matched(episodes, rows, span)
    taken = {row.key for row, _ in pairs if row is not None}
    changes = [_left_over(row, span) for row in rows if row.key not in taken]
    changes += [_opened(episode, span) if row is None else _moved(row, episode, span) for row, episode in pairs]
    return sorted((one for one in changes if one is not None), key=lambda one: (_is_live(one), one.started))


def _is_live(change: Change) -> bool:
    return change.ended is None and change.state not in {"retracted", "dropped"}


def _matched(episodes: Sequence[Episode], rows: Sequence[Row], span: Span) -> list[tuple[Row | None, Episode]]:
    """Which row tells of which episode: the same settled firing, then open to open, then what overlaps most; else a new row.

    Nothing is opened at settled ticks: an episode that fired there and has no row is left out.
    """
    left = list(rows)
    found: dict[int, Row | None] = {}

    def take(n: int, row: Row | None) -> None:
        if row is not None:
            found[n] = row
            left.remove(row)

    for n, episode in enumerate(episodes):
        if episode.fired is not None and episode.fired <= span.base:
            take(n, next((row for row in left if row.fired == episode.fired), None))
    for n, episode in enumerate(episodes):
        if n not in found and episode.ended is None:
            take(n, next((row for row in left if row.ended is None and _may_be(row, episode, span)), None))
    for n, episode in enumerate(episodes):
        if n not in found:
            near = [row for row in left if _may_be(row, episode, span) and _overlap(row, episode) >= 0]
            take(n, max(near, key=lambda row: (_overlap(row, episode), -row.started), default=None))
    open_at = [n for n, one in enumerate(episodes) if n in found or one.fired is None or one.fired > span.base]
    return [(found.get(n), episodes[n]) for n in open_at]


def _may_be(row: Row, episode: Episode, span: Span) -> bool:
    """Whether the row may tell of the episode: what fired is never pending again, what is settled stays with its episode, and
    what ended at an open tick and is true again is a new episode."""
    if row.fired is None:
        return True
    if episode.fired is None or (row.fired <= span.base) != (episode.fired <= span.base):
        return False
    return not (row.ended is not None and row.ended > span.final and episode.ended is None)


def _overlap(row: Row, episode: Episode) -> float:
    """Minutes in common; negative when they do not touch."""
    ends = min(_end(row.ended), _end(episode.ended))
    return ends - max(row.started, episode.started)


def _end(tick: int | None) -> float:
    return float("inf") if tick is None else tick


def _opened(episode: Episode, span: Span) -> Change:
    """A row for an episode that has none."""
    tells: tuple[Tell, ...] = ()
    if episode.fired is not None:
        tells = ("firing",) if episode.ended is None else ("firing", "resolved")
    return _change(None, episode, span, _lines(episode.transitions, span), tells)


def _moved(row: Row, episode: Episode, span: Span) -> Change | None:
    """The row told anew; None when nothing of it changes."""
    fresh = [one for one in episode.transitions if one.tick > row.since or row.fired is None]
    log = _lines(episode.transitions, span, fresh)
    revised = (
        (row.fired is not None and (row.started, row.fired) != (episode.started, episode.fired))
        or (row.ended is not None and row.ended != episode.ended)
        or (row.state != episode.state and not fresh)
    )
    if revised:
        log = (LogEntry("revised", episode.since, provisional=True), *log)
    change = _change(row.key, episode, span, log, _told(row, episode))
    after = Row(row.key, episode.state, change.started, change.fired, change.ended, change.since, change.peak, change.provisional)
    return None if after == row and not log else change


def _told(row: Row, episode: Episode) -> tuple[Tell, ...]:
    """Firing when people do not know yet, or think that it has ended; resolved when they think that it fires."""
    if episode.fired is None:
        return ()
    knew = row.fired is not None and row.ended is None
    if episode.ended is None:
        return () if knew else ("firing",)
    if row.fired is None:
        return ("firing", "resolved")
    return ("resolved",) if knew else ()


def _lines(transitions: Iterable[Transition], span: Span, fresh: Sequence[Transition] | None = None) -> tuple[LogEntry, ...]:
    """One line that is not provisional for each transition that settles now, one that is for each new one that does not."""
    lines = [
        LogEntry(one.kind, one.tick, provisional=one.tick > span.settled)
        for one in transitions
        if span.base < one.tick <= span.settled or (one.tick > span.settled and (fresh is None or one in fresh))
    ]
    return tuple(lines)


def _change(key: UUID | None, episode: Episode, span: Span, log: tuple[LogEntry, ...], tells: tuple[Tell, ...]) -> Change:
    return Change(
        key,
        episode.state,
        episode.started,
        episode.fired,
        episode.ended,
        episode.since,
        episode.peak,
        provisional=episode.fired is None or episode.since > span.settled,
        log=log,
        tells=tells,
    )


def _left_over(row: Row, span: Span) -> Change | None:
    """A row of no episode. At an open tick it ended; at a final one it never was; pending ones leave nothing."""
    if row.fired is None:
        return Change(row.key, "dropped", row.started, None, row.started, row.since, None, provisional=True)
    if row.fired > span.final:
        if row.ended is not None:
            return None
        ended = max(row.fired, span.seen)
        log = (LogEntry("resolved", ended, provisional=True),)
        return Change(
            row.key, "resolved", row.started, row.fired, ended, ended, row.peak, provisional=True, log=log, tells=("resolved",)
        )
    tells: tuple[Tell, ...] = ("resolved",) if row.ended is None else ()
    ended = span.final if row.ended is None else row.ended
    log = (LogEntry("retracted", span.final, provisional=True),)
    return Change(row.key, "retracted", row.started, row.fired, ended, ended, row.peak, provisional=False, log=log, tells=tells)
