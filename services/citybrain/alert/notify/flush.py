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
from citybrain.alert.notify.heartbeat import pass_on
from citybrain.alert.notify.routes import Plan
from citybrain.alert.notify.silences import touched
from citybrain.alert.notify.take import take
from citybrain.alert.notify.tell import tell
from citybrain.city import City
from citybrain.loops import note_failure, until_cancelled
from citybrain.rulebook.model import LoadedRules
from citybrain.store import alert_reads, notifications, silences
from citybrain.store.leases import Lease
from citybrain.store.pool import Connection, Pool, translated
from citybrain.telemetry import Metrics
from citybrain_schemas.alerts import Alert

_log = logging.getLogger(__name__)
LEASE = "notify"
IDLE_S = 0.25
MAX_INTENTS = 250  # of one transaction: about a tenth of a second
MAX_GROUPS = 100
BEAT_S = 1.0  # between two looks whether a tick has become final
RECHECK_S = 60.0  # what is held is looked at when silences, inhibitors or endpoints change, and this often besides
LONG_RECHECK_S, REST_SHARE = 0.05, 4.0  # a look that takes longer gets at most a fifth of the time


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
    _lease: Lease = field(init=False)
    _mark: frozenset[str] | None = None
    _recheck_at: float = 0.0
    _rest_until: float = 0.0
    _beat_at: float = 0.0

    def __post_init__(self) -> None:
        self._lease = Lease(LEASE, self.owner)

    async def run(self) -> None:
        """Until cancelled. A failure is logged; the next step finds everything where it was."""
        try:
            step = self.metrics.loops.begin("notify").around(self.step)
            await until_cancelled(step, self._failed, self.wake, IDLE_S)
        finally:
            await self._lease.give_up(self.pool)

    def _failed(self, error: Exception) -> None:
        note_failure(_log, "notify_failed", self.metrics.notify_errors, error)

    async def step(self) -> bool:
        """One transaction; whether there may be more to do at once."""
        begun = time.monotonic()
        try:
            with translated():
                async with self.pool.acquire() as connection:
                    if not await self._lease.is_ours(connection):
                        return False
                    async with connection.transaction():
                        if not await self._lease.held(connection):
                            return False
                        done = await self._work(connection)
        except BaseException:
            self._lease.forget()
            raise
        if done.mark is not None:
            ended = time.monotonic()
            self._mark, self._recheck_at = done.mark, ended + RECHECK_S
            self._rest_until = ended + REST_SHARE * done.recheck_s if done.recheck_s > LONG_RECHECK_S else 0.0
        if done.deliveries:
            self.metrics.notify_step_seconds.observe(time.monotonic() - begun)
            self.told()
        return done.busy

    async def _work(self, connection: Connection) -> _Step:
        now, step = self.clock(), _Step()
        if time.monotonic() >= self._beat_at:
            step.deliveries = await pass_on(connection, now)
            self._beat_at = time.monotonic() + BEAT_S
        standing = await notifications.standing(connection, now)
        if not any(standing):
            return step
        rules, areas = self.rules(), self.city().areas
        around = await circumstances(connection, rules.book, areas, now)
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
        step.deliveries += len(told.deliveries)
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
