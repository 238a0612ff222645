"""The worker of alert: passes, one transaction each, until cancelled. Started by runner; beside it runs notify.flush.

One owner at a time, by a lease with a fence, so that a second process stands by; and a pass is a compare-and-swap besides. It
keeps no state that a crash could lose.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from citybrain.alert.passes import Done, Fenced, Now, make_pass
from citybrain.alert.scopes import ScopeBook
from citybrain.city import City
from citybrain.loops import note_failure, until_cancelled
from citybrain.rulebook.model import Absence, LoadedRules, Threshold
from citybrain.store import changes
from citybrain.store.leases import Lease
from citybrain.store.pool import Connection, Pool, translated
from citybrain.telemetry import Metrics

_log = logging.getLogger(__name__)
LEASE = "alert"
IDLE_S = 0.25
REST_SHARE, LONGEST_REST_S, NO_REST_S = 1.0, 0.3, 0.05  # a short pass is followed at once: an early page waits for nothing


@dataclass(slots=True)
class AlertWorker:
    """`wake` is set when aggregate or rollup has stored something; `told` is called when there are new intents."""

    pool: Pool
    rules: Callable[[], LoadedRules]
    city: Callable[[], City]
    metrics: Metrics
    clock: Callable[[], datetime]
    owner: UUID = field(default_factory=uuid4)
    told: Callable[[], None] = lambda: None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _scopes: ScopeBook = field(default_factory=ScopeBook)
    _lease: Lease = field(init=False)
    _stored: int | None = None  # events, when no silence had ended

    def __post_init__(self) -> None:
        self._lease = Lease(LEASE, self.owner)

    async def run(self) -> None:
        """Until cancelled. A failure is logged; the next pass finds everything where it was."""
        try:
            step = self.metrics.loops.begin("alert").around(self.step)
            await until_cancelled(step, self._failed, self.wake, IDLE_S, _rest_s)
        finally:
            await self._lease.give_up(self.pool)

    def _failed(self, error: Exception) -> None:
        note_failure(_log, "alert_failed", self.metrics.alert_errors, error, (Fenced,))

    async def step(self) -> bool:
        """One pass; whether there may be more to do at once."""
        begun = time.monotonic()
        try:
            with translated():
                async with self.pool.acquire() as connection:
                    if not await self._leads(connection) or not await self._has_work(connection):
                        return False
                    async with connection.transaction():
                        if not await self._lease.held(connection):
                            self._forget()
                            return False
                        done = await self._pass(connection)
        except BaseException:
            self._forget()
            raise
        self._tell(done, time.monotonic() - begun)
        return done.more

    async def _leads(self, connection: Connection) -> bool:
        """Whether the lease is ours. Of scopes, what another owner has done meanwhile is not known."""
        before = self._lease.fence
        if await self._lease.is_ours(connection) and self._lease.fence != before:
            self._scopes.forget()
        return self._lease.fence is not None

    async def _has_work(self, connection: Connection) -> bool:
        """Whether a pass would find anything. Silences may have ended only when events were stored."""
        loaded = self.rules()
        if await changes.has_work(connection, loaded.version, self.clock()):
            return True
        absences = {rule.name: rule.of for rule in loaded.book.rules if isinstance(rule, Absence)}
        stored = await changes.stored(connection) if absences else self._stored
        if stored == self._stored:
            return False
        ended = await changes.silence_ended(connection, absences)
        self._stored = None if ended else stored
        return ended

    async def _pass(self, connection: Connection) -> Done:
        city = self.city()
        now = Now(self.rules(), city, self.clock())
        rules = now.loaded.book.rules
        self._scopes.follow(city, frozenset((rule.metric, str(rule.per)) for rule in rules if isinstance(rule, Threshold)))
        return await make_pass(connection, self._scopes, await changes.standing(connection), now)

    def _forget(self) -> None:
        self._stored = None
        self._lease.forget()
        self._scopes.forget()

    def _tell(self, done: Done, seconds: float) -> None:
        self.metrics.alert_pass_seconds.observe(seconds)
        self.metrics.alert_opened.inc(done.opened)
        if done.final_through is not None:
            self.metrics.alert_final.set(done.final_through.timestamp())
        if done.intents:
            self.metrics.alert_intents.inc(done.intents)
            self.told()


def _rest_s(took_s: float) -> float:
    return min(LONGEST_REST_S, REST_SHARE * took_s) if took_s > NO_REST_S else 0.0
