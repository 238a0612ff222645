"""The rollup: everything above the minutes of assets, made from its children. A loop of the aggregate role.

One owner at a time, by a lease with a fence. A pass takes dirty rows and makes their parents anew in the transaction that
deletes them: minutes of areas, level by level from the grids to the city; hours and days (of assets too) once they are final
or when they are corrected. A row that comes out as it was is not touched, and nothing above it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

from citybrain.aggregate.tree import Place, SeriesTree
from citybrain.aggregate.windows import end_of, hour_start
from citybrain.city import City
from citybrain.city.local_time import day_start
from citybrain.loops import note_failure, until_cancelled
from citybrain.store import rollups
from citybrain.store.dictionary import Dictionary
from citybrain.store.leases import Lease
from citybrain.store.pool import Connection, Pool, translated
from citybrain.telemetry import Metrics

_log = logging.getLogger(__name__)
LEASE = "rollup"
IDLE_S = 0.5
MAX_DIRTY = 50_000
MAX_DUE = 20_000
MAX_STATEMENT_ROWS = 5_000
REST_SHARE, LONGEST_REST_S = 6.0, 1.5  # under load a pass takes what many batches made dirty, at most a seventh of the time
LATER_SHARE = 3.0  # while a backlog runs, hours and days get at most a quarter of the time: they coalesce meanwhile
Due = tuple[datetime, int, datetime]
_Row = TypeVar("_Row")


@dataclass(slots=True)
class Rollup:
    """One shard's rollup. `wake` is set when aggregate has stored something; `told` is called after a pass that did something."""

    pool: Pool
    city: Callable[[], City]
    metrics: Metrics
    told: Callable[[], None] = lambda: None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    owner: UUID = field(default_factory=uuid4)
    _tree: SeriesTree = field(default_factory=lambda: SeriesTree(Dictionary()))
    _later_from: float = 0.0
    _lease: Lease = field(init=False)

    def __post_init__(self) -> None:
        self._lease = Lease(LEASE, self.owner)

    async def run(self) -> None:
        """Until cancelled. A failure is logged; the next pass finds everything where it was."""
        try:
            step = self.metrics.loops.begin("rollup").around(self.step)
            await until_cancelled(step, self._failed, self.wake, IDLE_S, lambda took_s: min(LONGEST_REST_S, REST_SHARE * took_s))
        finally:
            await self._lease.give_up(self.pool)

    def _failed(self, error: Exception) -> None:
        note_failure(_log, "rollup_failed", self.metrics.aggregate_errors, error)

    async def step(self) -> bool:
        """One pass; whether there may be more to do at once."""
        begun = time.monotonic()
        try:
            with translated():
                async with self.pool.acquire() as connection:
                    if not await self._lease.taken(connection):
                        return False
                    async with connection.transaction():
                        if not await self._lease.held(connection):
                            return False
                        done = await self._pass(connection)
        except BaseException:
            self._lease.forget()
            self._tree.dictionary.rolled_back()
            self._tree.forget()
            raise
        self._tree.dictionary.committed()
        if done:
            self.told()
            self.metrics.rollup_pass_seconds.observe(time.monotonic() - begun)
        return done

    async def _pass(self, connection: Connection) -> bool:
        """Take what is dirty, then what is due; whether anything was taken.

        What is due waits until all that is dirty was taken: a day is made from hours, and must not overtake one of them.
        """
        city = self.city()
        through, stored_through, told_through = await rollups.progress(connection)
        if through is not None:
            self.metrics.aggregate_watermark.set(through.timestamp())
        taken, more = await rollups.take_dirty(connection, MAX_DIRTY)
        changed = await self._areas(
            connection, city, "1m", [(start, series) for step, start, series in taken if step == "1m"], None
        )
        passed = None if more or through is None else through.replace(second=0, microsecond=0)
        tells = bool(changed) or (passed is not None and (told_through is None or passed > told_through))
        if tells:
            await rollups.tell(connection, passed, [(series, minute_of(start)) for series, start in changed])
        later = [(step, start, series, end_of(step, start, city.settings.zone)) for step, start, series in taken if step != "1m"]
        await rollups.put_later(connection, later)
        if through is None or more or (taken and time.monotonic() < self._later_from):
            return bool(taken) or tells
        begun = time.monotonic()
        due = await rollups.take_due(connection, through, MAX_DUE)
        for step in ("1h", "1d"):
            rows = [(start, series, end) for name, start, series, end in due if name == step]
            unread_from = hour_start(stored_through) if step == "1h" else day_start(stored_through, city.settings.zone)
            await self._longer(connection, city, step, rows, unread_from)
        if len(due) < MAX_DUE:
            await rollups.passed(connection, through)
        ended = time.monotonic()
        self._later_from = ended + LATER_SHARE * (ended - begun)
        return bool(taken or due) or tells

    async def _longer(
        self, connection: Connection, city: City, step: str, rows: Sequence[tuple[datetime, int, datetime]], unread_from: datetime
    ) -> None:
        """Hours or days: of the assets first, then of the areas above them."""
        by_finer: defaultdict[str, list[tuple[int, datetime, datetime]]] = defaultdict(list)
        for start, series, end in rows:
            by_finer[finer_step(step, start, end)].append((series, start, end))
        for finer, todo in by_finer.items():
            for part in _parts(sorted(todo)):
                changed = await rollups.make_leaf_rows(connection, step, finer, part, unread_from)
                self.metrics.rollup_rows.labels(step).inc(changed)
        await self._areas(connection, city, step, [(start, series) for start, series, _ in rows], unread_from)

    async def _areas(
        self, connection: Connection, city: City, step: str, rows: Iterable[tuple[datetime, int]], unread_from: datetime | None
    ) -> list[tuple[int, datetime]]:
        """Rows of areas, the finest level first; a changed row makes its parent part of the next level's work.

        Returns the (series, start) that changed.
        """
        all_changed: list[tuple[int, datetime]] = []
        work: defaultdict[int, set[tuple[Place, datetime]]] = defaultdict(set)
        more = set(rows)
        while more or work:
            places = await self._tree.places(connection, city, {number for _, number in more})
            for start, number in more:
                work[places[number].depth].add((places[number], start))
            level = work.pop(max(work))
            todo = sorted(place.todo(start) for place, start in level)
            changed: list[tuple[int, datetime]] = []
            for part in _parts(todo):
                changed += await rollups.make_area_rows(connection, step, part, unread_from)
            self.metrics.rollup_rows.labels(step).inc(len(changed))
            all_changed += changed
            above = {place.number: place for place, _ in level}
            parents = ((start, above[number].parent_at(start)) for number, start in changed)
            more = {(start, parent) for start, parent in parents if parent > 0}
        return all_changed


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
