"""The rollup: everything above the minutes of assets, made from its children. A loop of the aggregate role.

Processes share the shards; a shard has one owner at a time, by a lease with a fence. A pass takes dirty rows and makes their
parents anew in the transaction that deletes them: minutes of areas, level by level from the grids up; hours and days (of assets
too) once they are final or when they are corrected. A row that comes out as it was is not touched, and nothing above it is. What
a change makes dirty in a shard of another process is handed on to it, in the same transaction.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID, uuid4

from citybrain.aggregate.shards import ALL, TOP, shard_of, sharding
from citybrain.aggregate.tree import Place, SeriesTree
from citybrain.aggregate.windows import end_of, hour_start
from citybrain.bus.members import FixedMembership
from citybrain.bus.port import Membership
from citybrain.city import City
from citybrain.city.local_time import day_start
from citybrain.loops import beside_the_loop, note_failure, until_cancelled
from citybrain.store import rollups
from citybrain.store.dictionary import Dictionary
from citybrain.store.leases import Leases
from citybrain.store.pool import Connection, Pool, translated
from citybrain.store.rollups import Progress, Todo
from citybrain.telemetry import Metrics

_log = logging.getLogger(__name__)
IDLE_S = 0.5
MAX_DIRTY = 50_000
MAX_DUE = 20_000
MAX_STATEMENT_ROWS = 5_000
REST_SHARE, LONGEST_REST_S = 6.0, 1.5  # between passes, so that one takes what many batches made dirty
BACKLOG_REST_S = 4.0  # figures of areas are behind then in any case: what was reported is stored first
LATER_SHARE = 3.0  # while a backlog runs, hours and days get at most a quarter of the time: they coalesce meanwhile
_Row = TypeVar("_Row")


def lease_of(shard: int) -> str:
    """The name of a shard's lease."""
    return f"rollup {shard:02}"


class _Pass(NamedTuple):
    """One transaction: what it works with, and how far things had come when it began."""

    connection: Connection
    city: City
    shards: frozenset[int]
    standing: Progress

    def of_all(self, mine: datetime, others: datetime | None) -> datetime | None:
        """How far all shards have come: for the owner of the top one to say, None where it is not known."""
        if self.shards == ALL:
            return mine
        return min(mine, others) if TOP in self.shards and others is not None else None


@dataclass(slots=True)
class Rollup:
    """The shards of one process: those of its membership, else all. `wake` is set when aggregate has stored something; `told` is
    called after a pass that did something; `is_behind` says whether aggregate works off a backlog here."""

    pool: Pool
    city: Callable[[], City]
    metrics: Metrics
    told: Callable[[], None] = lambda: None
    is_behind: Callable[[], bool] = lambda: False
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    owner: UUID = field(default_factory=uuid4)
    membership: Membership = field(default_factory=lambda: FixedMembership(ALL))
    _tree: SeriesTree = field(init=False)
    _later_from: float = 0.0
    _has_left: bool = False  # the last pass took as much as it may
    _leases: Leases = field(init=False)

    def __post_init__(self) -> None:
        self._tree = SeriesTree(Dictionary(sharding(self.city)))
        self._leases = Leases(self.owner)

    async def run(self) -> None:
        """Until cancelled. A failure is logged; the next pass finds everything where it was."""
        try:
            await self._loop()
        finally:
            await self._leases.give_up(self.pool)
            await self.membership.leave()

    async def _loop(self) -> None:
        step = self.metrics.loops.begin("rollup").around(self.step)
        await until_cancelled(step, self._failed, self.wake, IDLE_S, self._rest_s)

    def _rest_s(self, took_s: float) -> float:
        """More gathers meanwhile. What a full pass has left is made at once, unless batches are being stored here."""
        if self._has_left and not self.wake.is_set():
            return 0.0
        return min(BACKLOG_REST_S if self.is_behind() else LONGEST_REST_S, REST_SHARE * took_s)

    def _failed(self, error: Exception) -> None:
        note_failure(_log, "rollup_failed", self.metrics.aggregate_errors, error)

    async def step(self) -> bool:
        """One pass; whether there may be more to do at once."""
        begun = time.monotonic()
        try:
            with translated():
                async with self.pool.acquire() as connection:
                    wanted = {lease_of(shard): shard for shard in self.membership.current().partitions}
                    shards = frozenset(wanted[name] for name in await self._leases.taken(connection, wanted))
                    self.metrics.rollup_shards.set(len(shards))
                    if not shards:
                        return False
                    async with connection.transaction():
                        if not await self._leases.held(connection):
                            return False
                        done = await self._pass(connection, shards)
        except BaseException:
            self._leases.forget()
            self._tree.dictionary.rolled_back()
            self._tree.forget()
            raise
        self._tree.dictionary.committed()
        if done:
            self.told()
            self.metrics.rollup_pass_seconds.observe(time.monotonic() - begun)
        return done

    async def _pass(self, connection: Connection, shards: frozenset[int]) -> bool:
        """Take what is dirty, then what is due; whether anything was taken.

        What is due waits until all that is dirty was taken: a day is made from hours, and must not overtake one of them. How far
        other shards have come is read first: what they handed on by then is among the dirty rows.
        """
        now = _Pass(connection, self.city(), shards, await rollups.progress(connection, shards))
        through = now.standing.watermark
        if through is not None:
            self.metrics.aggregate_watermark.set(through.timestamp())
        taken, self._has_left = await rollups.take_dirty(connection, shards, MAX_DIRTY)
        changed = await self._areas(now, "1m", [(row.start, row.series) for row in taken if row.step == "1m"], None)
        zone = now.city.settings.zone
        await rollups.put_later(connection, [(*row, end_of(row.step, row.start, zone)) for row in taken if row.step != "1m"])
        if through is None or self._has_left:
            return await self._tell(now, None, changed) or bool(taken)
        had_due = (not taken or time.monotonic() >= self._later_from) and await self._due(now, through)
        return await self._tell(now, through.replace(second=0, microsecond=0), changed) or bool(taken) or had_due

    async def _due(self, now: _Pass, through: datetime) -> bool:
        """Make the hours and days that have ended; whether there were any."""
        begun = time.monotonic()
        due = await rollups.take_due(now.connection, now.shards, through, MAX_DUE)
        stored = now.standing.final_through
        for step, unread_from in (("1h", hour_start(stored)), ("1d", day_start(stored, now.city.settings.zone))):
            await self._longer(now, step, [(start, series, end) for name, start, series, end in due if name == step], unread_from)
        self._has_left = len(due) >= MAX_DUE
        if not self._has_left:
            if now.shards != ALL:
                await rollups.shards_passed(now.connection, now.shards, None, through)
            if (final := now.of_all(through, now.standing.others_final)) is not None:
                await rollups.passed(now.connection, final)
        ended = time.monotonic()
        self._later_from = ended + LATER_SHARE * (ended - begun)
        return bool(due)

    async def _tell(self, now: _Pass, passed: datetime | None, changed: Sequence[tuple[int, datetime]]) -> bool:
        """Say what changed, and through when minutes are complete, where that is news; whether it was.

        At the end of a pass: from here to the commit no other shard can say anything, so passes are numbered in their order.
        """
        complete = None
        if passed is not None:
            if now.shards != ALL:
                await rollups.shards_passed(now.connection, now.shards, passed, None)
            complete = now.of_all(passed, now.standing.others_minutes)
        before = now.standing.minutes_through
        is_news = complete is not None and (before is None or complete > before)
        if changed or is_news:
            await rollups.tell(now.connection, complete, [(series, minute_of(start)) for series, start in changed])
        return bool(changed) or is_news

    async def _longer(self, now: _Pass, step: str, rows: Sequence[tuple[datetime, int, datetime]], unread_from: datetime) -> None:
        """Hours or days: of the assets first, then of the areas above them."""
        by_finer: defaultdict[str, list[tuple[int, datetime, datetime]]] = defaultdict(list)
        for start, series, end in rows:
            by_finer[finer_step(step, start, end)].append((series, start, end))
        for finer, todo in by_finer.items():
            for part in _parts(sorted(todo)):
                changed = await rollups.make_leaf_rows(now.connection, step, finer, part, unread_from)
                self.metrics.rollup_rows.labels(step).inc(changed)
        await self._areas(now, step, [(start, series) for start, series, _ in rows], unread_from)

    async def _areas(
        self, now: _Pass, step: str, rows: Iterable[tuple[datetime, int]], unread_from: datetime | None
    ) -> list[tuple[int, datetime]]:
        """Rows of areas, the finest level first; a changed row makes its parent part of the next level, or of another shard.

        Returns the (series, start) that changed.
        """
        all_changed: list[tuple[int, datetime]] = []
        handed_on: set[tuple[datetime, int]] = set()
        work: defaultdict[int, set[tuple[Place, datetime]]] = defaultdict(set)
        more = set(rows)
        while more or work:
            places = await self._tree.places(now.connection, now.city, {number for _, number in more})
            level, parts = await beside_the_loop(len(more), _next_level, work, places, more)
            changed: list[tuple[int, datetime]] = []
            for part in parts:
                changed += await rollups.make_area_rows(now.connection, step, part, unread_from)
            self.metrics.rollup_rows.labels(step).inc(len(changed))
            all_changed += changed
            more, others = await beside_the_loop(len(changed), _above, level, changed, now.shards)
            handed_on |= others
        await rollups.hand_on(now.connection, step, handed_on)
        return all_changed


_Level = set[tuple[Place, datetime]]
_Rows = set[tuple[datetime, int]]


def _next_level(work: defaultdict[int, _Level], places: Mapping[int, Place], more: _Rows) -> tuple[_Level, list[Sequence[Todo]]]:
    """Put rows where they belong and take the finest level, in parts. On a thread, like `_above`: the loop serves others, too."""
    for start, number in more:
        work[places[number].depth].add((places[number], start))
    level = work.pop(max(work))
    return level, list(_parts(sorted(place.todo(start) for place, start in level)))


def _above(level: _Level, changed: Sequence[tuple[int, datetime]], shards: frozenset[int]) -> tuple[_Rows, _Rows]:
    """The rows above those that changed: of these shards, and of others."""
    above = {place.number: place for place, _ in level}
    parents = ((start, above[number].parent_at(start)) for number, start in changed)
    dirty = {(start, parent) for start, parent in parents if parent > 0}
    mine = {row for row in dirty if shard_of(row[1]) in shards}
    return mine, dirty - mine


def minute_of(start: datetime) -> int:
    """Minutes since 1970."""
    return int(start.timestamp()) // 60


def finer_step(step: str, start: datetime, end: datetime) -> str:
    """What a longer window is made of: hours from minutes, days from hours, or from minutes where days cut hours."""
    whole_hours = all(moment.minute == 0 and moment.second == 0 and moment.microsecond == 0 for moment in (start, end))
    return "1h" if step == "1d" and whole_hours else "1m"


def _parts(rows: Sequence[_Row]) -> Iterable[Sequence[_Row]]:
    for at in range(0, len(rows), MAX_STATEMENT_ROWS):
        yield rows[at : at + MAX_STATEMENT_ROWS]
