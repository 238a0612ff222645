"""The loop that tells: intents to groups, groups to deliveries. A loop of the alert role, beside its worker.

One owner at a time, by a lease with a fence. A step is one transaction that holds the lease: it routes what is new, frees
what nothing holds any more, and flushes the groups that are due. So a crash anywhere loses no page and makes no second one,
and a second process stands by.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from citybrain.alert.notify.circumstances import Circumstances, circumstances
from citybrain.alert.notify.routes import Plan
from citybrain.alert.notify.silences import touched
from citybrain.alert.notify.take import take
from citybrain.alert.notify.tell import tell
from citybrain.city import City
from citybrain.errors import CitybrainError
from citybrain.rulebook.model import LoadedRules
from citybrain.store import alert_reads, notifications, rollups, silences
from citybrain.store.pool import Connection, Pool, translated
from citybrain.telemetry import Metrics
from citybrain_schemas.alerts import Alert

_log = logging.getLogger(__name__)
LEASE = "notify"
LEASE_S = 5
RENEW_S = 2.0
IDLE_S = 0.25
MAX_INTENTS = 250  # of one transaction: about a tenth of a second
MAX_GROUPS = 100
RECHECK_S = 60.0  # what is held is looked at when silences, inhibitors or endpoints change, and this often besides
LONG_RECHECK_S, REST_SHARE = 0.05, 4.0  # a look that takes longer gets at most a fifth of the time
_RETRY_S = 1.0


@dataclass(slots=True)
class _Step:
    """What a step did; it counts once it is committed."""

    busy: bool = False
    deliveries: int = 0
    mark: frozenset[str] | None = None
    recheck_s: float = 0.0


@dataclass(slots=True)
class Flusher:
    """`wake` is set when there are new intents; `told` is called when there are new deliveries."""

    pool: Pool
    rules: Callable[[], LoadedRules]
    city: Callable[[], City]
    metrics: Metrics
    clock: Callable[[], datetime]
    links_base: str
    told: Callable[[], None]
    owner: UUID = field(default_factory=uuid4)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _fence: int | None = None
    _renew_at: float = 0.0
    _mark: frozenset[str] | None = None
    _recheck_at: float = 0.0
    _rest_until: float = 0.0

    async def run(self) -> None:
        """Until cancelled. A failure is logged; the next step finds everything where it was."""
        try:
            while True:
                try:
                    busy = await self.step()
                except Exception as error:  # noqa: BLE001 - the loop's outermost edge: logged, counted, tried again
                    self.metrics.notify_errors.labels(type(error).__name__).inc()
                    unknown = None if isinstance(error, CitybrainError) else error
                    _log.warning("notify_failed", extra={"reason": str(error)[:500]}, exc_info=unknown)
                    await asyncio.sleep(_RETRY_S)
                    continue
                if not busy:
                    await self._sleep()
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
            _log.info("notify_lease_left")

    async def step(self) -> bool:
        """One transaction; whether there may be more to do at once."""
        begun = time.monotonic()
        try:
            with translated():
                async with self.pool.acquire() as connection:
                    if not await self._leads(connection, begun):
                        return False
                    async with connection.transaction():
                        if not await rollups.hold_lease(connection, LEASE, self.owner, self._fence or 0):
                            self._fence = None
                            return False
                        done = await self._work(connection)
        except BaseException:
            self._fence = None
            raise
        if done.mark is not None:
            ended = time.monotonic()
            self._mark, self._recheck_at = done.mark, ended + RECHECK_S
            self._rest_until = ended + REST_SHARE * done.recheck_s if done.recheck_s > LONG_RECHECK_S else 0.0
        if done.deliveries:
            self.metrics.notify_step_seconds.observe(time.monotonic() - begun)
            self.told()
        return done.busy

    async def _leads(self, connection: Connection, at: float) -> bool:
        """Whether the lease is ours; it is renewed now and then, and checked in each transaction."""
        if self._fence is None or at >= self._renew_at:
            self._fence = await rollups.take_lease(connection, LEASE, self.owner, LEASE_S)
            self._renew_at = at + RENEW_S
        return self._fence is not None

    async def _work(self, connection: Connection) -> _Step:
        now = self.clock()
        standing = await notifications.standing(connection, now)
        if not any(standing):
            return _Step()
        rules, areas = self.rules(), self.city().areas
        around = await circumstances(connection, rules.book, areas, now)
        step = _Step()
        ended: list[Alert] = []
        if standing.intents:
            taken = await take(connection, (rules.book, rules.version), areas, around, MAX_INTENTS)
            ended, step.busy = taken.ended, taken.count == MAX_INTENTS
        begun = time.monotonic()
        if standing.held and begun >= self._rest_until and (around.mark != self._mark or begun >= self._recheck_at):
            await self._free(connection, around)
            step.mark, step.recheck_s = around.mark, time.monotonic() - begun
        told = await tell(connection, around, self.links_base, MAX_GROUPS)
        for silence in touched(ended, around.silences, now):
            await silences.end_unneeded(connection, silence, now)
        step.busy = step.busy or len(told.next_at) == MAX_GROUPS
        step.deliveries = len(told.deliveries)
        for one in told.decided:
            self.metrics.notify_intents.labels(one.outcome).inc()
        for kind, count in told.webhooks.items():
            self.metrics.notify_webhooks.labels(kind).inc(count)
        return step

    @staticmethod
    async def _free(connection: Connection, around: Circumstances) -> None:
        """Let go of what nothing holds any more: its group tells it at its next flush."""
        held = await notifications.held(connection)
        alerts = await alert_reads.by_id(connection, {key[1] for key, _ in held})
        free = [key for key, plan in held if key[1] in alerts and around.hold(alerts[key[1]], Plan.of_json(plan).to) is None]
        await notifications.free(connection, free)
        await notifications.hurry_groups(connection, {key for key, _ in free}, around.now)
