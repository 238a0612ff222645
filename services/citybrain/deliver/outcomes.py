"""Write down attempts that have ended, and all that follows from them, in one transaction. Called by worker.

Only attempts of deliveries that are still this owner's count: what another process took over meanwhile is its to tell.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from citybrain.deliver.breaker import Health, after
from citybrain.deliver.retry import Again, Answer, Delivered, GaveUp, Gone, decide
from citybrain.store import deliveries
from citybrain.store.deliveries import Claimed, HealthRow, Made
from citybrain.store.pool import Connection
from citybrain.telemetry import Metrics

_log = logging.getLogger(__name__)
SPREAD = timedelta(seconds=5)  # over which what waited is sent when an endpoint is back
MAX_ERROR_CHARS = 500
MAX_TAKEN_BYTES = 1024  # of the answer of a receiver that took it: nobody looks for a fault in there
WHY_GONE = "it answered 410 Gone"


@dataclass(frozen=True, slots=True)
class Outcome:
    """An attempt that has ended."""

    delivery: Claimed
    began_at: datetime
    took_s: float
    answer: Answer

    @property
    def made(self) -> Made:
        """Its row, with what follows."""
        wait = None
        match decide(self.answer, self.delivery.delivery_id, self.delivery.tried + 1):
            case Delivered():
                state = "delivered"
            case Again() as again:
                state, wait = "waiting", again.wait
            case GaveUp():
                state = "gave_up"
            case Gone():
                state = "cancelled"
        answer = self.answer.body if self.answer.error else self.answer.body[:MAX_TAKEN_BYTES]
        return Made(
            self.delivery.delivery_id, self.delivery.attempts + 1, self.began_at, round(self.took_s * 1000), self.answer.status,
            storable(self.answer.error), answer, state, wait,
        )  # fmt: skip


def storable(error: str | None) -> str | None:
    """A text that may quote a receiver, as a column can hold it: no NUL, no half of a surrogate pair."""
    return None if error is None else error[:MAX_ERROR_CHARS].replace("\x00", "").encode("utf-8", "replace").decode()


async def write_down(connection: Connection, owner: UUID, ended: Sequence[Outcome], metrics: Metrics) -> None:
    """In the caller's transaction."""
    made = {one.delivery.delivery_id: one.made for one in ended}
    counted = await deliveries.record(connection, owner, list(made.values()))
    mine = [one for one in ended if one.delivery.delivery_id in counted]
    await _note_health(connection, mine, metrics)
    gone = sorted({one.delivery.endpoint_id for one in mine if made[one.delivery.delivery_id].state == "cancelled"})
    if gone:
        await deliveries.disable(connection, gone, WHY_GONE)
        await deliveries.cancel(connection)
    for one in mine:
        _count(one, made[one.delivery.delivery_id], metrics)
        _say(one, made[one.delivery.delivery_id])


async def _note_health(connection: Connection, mine: Sequence[Outcome], metrics: Metrics) -> None:
    """Count successes and failures by endpoint: breakers open and close, and what waited for one that is back comes soon."""
    succeeded: defaultdict[UUID, list[bool]] = defaultdict(list)
    for one in mine:
        succeeded[one.delivery.endpoint_id].append(one.answer.error is None)
    rows, now = await deliveries.lock_health(connection, sorted(succeeded))
    if now is None:
        return
    seen = {row.endpoint_id: after(_health(row), succeeded[row.endpoint_id], now) for row in rows}
    await deliveries.put_health(connection, [_row(endpoint_id, one.health) for endpoint_id, one in seen.items()])
    back = [endpoint_id for endpoint_id, one in seen.items() if one.came_back]
    if back:
        await deliveries.bring_forward(connection, back, SPREAD)
    for endpoint_id, after_it in seen.items():
        if after_it.opened:
            metrics.deliver_breakers_opened.inc()
            _log.warning("endpoint_left_alone", extra={"endpoint": str(endpoint_id), "until": after_it.health.open_until})


def _health(row: HealthRow) -> Health:
    return Health(
        row.window_from, row.requests, row.failures, row.open_until, row.failing_since, row.last_success, row.last_failure
    )


def _row(endpoint_id: UUID, health: Health) -> HealthRow:
    return HealthRow(
        endpoint_id, health.window_from, health.requests, health.failures, health.open_until, health.failing_since,
        health.last_success, health.last_failure,
    )  # fmt: skip


def _count(outcome: Outcome, made: Made, metrics: Metrics) -> None:
    came_through = "delivered" if made.state == "delivered" else "failed"
    if outcome.delivery.tick is not None:
        metrics.deliver_heartbeats.labels(came_through).inc()
    if not outcome.delivery.goes_nowhere:
        metrics.deliver_attempts.labels(came_through).inc()
    if made.state == "gave_up":
        metrics.deliver_gave_up.inc()


def _say(outcome: Outcome, made: Made) -> None:
    """What people have to act on; a retry is no news, but that of a heartbeat is."""
    told = {
        "delivery": str(made.delivery_id), "webhook_id": outcome.delivery.webhook_id, "attempts": made.attempt,
        "endpoint": str(outcome.delivery.endpoint_id), "reason": made.error,
    }  # fmt: skip
    if made.state == "gave_up":
        _log.error("delivery_given_up", extra=told)
    elif made.state == "cancelled":
        _log.error("endpoint_disabled", extra=told)
    elif outcome.delivery.tick is not None and made.state != "delivered":
        _log.warning("heartbeat_not_taken", extra={"through": outcome.delivery.tick, **told})
