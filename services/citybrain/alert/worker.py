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
from citybrain.errors import CitybrainError
from citybrain.rulebook.model import Absence, LoadedRules, Threshold
from citybrain.store import changes, rollups
from citybrain.store.pool import Connection, Pool, translated
from citybrain.telemetry import Metrics

_log = logging.getLogger(__name__)
LEASE = "alert"
LEASE_S = 5
RENEW_S = 2.0
IDLE_S = 0.25
REST_SHARE, LONGEST_REST_S, NO_REST_S = 1.0, 0.3, 0.05  # a short pass is followed at once: an early page waits for nothing
_RETRY_S = 1.0


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
    _fence: int | None = None
    _renew_at: float = 0.0
    _stored: int | None = None  # events, when no silence had ended

    async def run(self) -> None:
        """Until cancelled. A failure is logged; the next pass finds everything where it was."""
        try:
            while True:
                begun = time.monotonic()
                try:
                    busy = await self.step()
                except Exception as error:  # noqa: BLE001 - the worker's outermost edge: logged, counted, tried again
                    self.metrics.alert_errors.labels(type(error).__name__).inc()
                    unknown = None if isinstance(error, CitybrainError | Fenced) else error
                    _log.warning("alert_failed", extra={"reason": str(error)[:500]}, exc_info=unknown)
                    await asyncio.sleep(_RETRY_S)
                    continue
                if not busy:
                    await self._sleep()
                elif (took_s := time.monotonic() - begun) > NO_REST_S:
                    await asyncio.sleep(min(LONGEST_REST_S, REST_SHARE * took_s))
        finally:
            await self._give_up()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(IDLE_S):
                await self.wake.wait()
        except TimeoutError:
            return
        finally:
            self.wake.clear()

    async def _give_up(self) -> None:
        try:
            with translated():
                async with asyncio.timeout(1), self.pool.acquire() as connection:
                    await rollups.give_lease(connection, LEASE, self.owner)
        except CitybrainError:
            _log.info("alert_lease_left")

    async def step(self) -> bool:
        """One pass; whether there may be more to do at once."""
        begun = time.monotonic()
        try:
            with translated():
                async with self.pool.acquire() as connection:
                    if not await self._leads(connection, begun) or not await self._has_work(connection):
                        return False
                    async with connection.transaction():
                        if not await rollups.hold_lease(connection, LEASE, self.owner, self._fence or 0):
                            self._forget()
                            return False
                        done = await self._pass(connection)
        except BaseException:
            self._forget()
            raise
        self._tell(done, time.monotonic() - begun)
        return done.more

    async def _leads(self, connection: Connection, at: float) -> bool:
        """Whether the lease is ours; it is renewed now and then, and checked in each transaction."""
        if self._fence is None or at >= self._renew_at:
            fence = await rollups.take_lease(connection, LEASE, self.owner, LEASE_S)
            if fence != self._fence:
                self._scopes.forget()
            self._fence, self._renew_at = fence, at + RENEW_S
        return self._fence is not None

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
        self._fence, self._stored = None, None
        self._scopes.forget()

    def _tell(self, done: Done, seconds: float) -> None:
        self.metrics.alert_pass_seconds.observe(seconds)
        self.metrics.alert_opened.inc(done.opened)
        if done.final_through is not None:
            self.metrics.alert_final.set(done.final_through.timestamp())
        if done.intents:
            self.metrics.alert_intents.inc(done.intents)
            self.told()
