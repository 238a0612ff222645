"""The breaker of an endpoint: one that nearly always fails is left alone for a while. Called by worker. Pure.

Its state is a row, so it outlives the process and is shared by several. Counts are of one stretch of five minutes. An open
breaker holds deliveries back without using up their attempts; afterwards one attempt at a time is made until one succeeds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=5)
MIN_REQUESTS = 10
FAILING_SHARE = 0.7
OPEN_FOR = timedelta(seconds=30)
WAS_DOWN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint does. `failing_since`: its first failure after its last success."""

    window_from: datetime
    requests: int = 0
    failures: int = 0
    open_until: datetime | None = None
    failing_since: datetime | None = None
    last_success: datetime | None = None
    last_failure: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The health after some attempts: whether the breaker was opened, and whether the endpoint came back from being down."""

    health: Health
    opened: bool = False
    came_back: bool = False


def after(health: Health, succeeded: Iterable[bool], now: datetime) -> Seen:
    """The health after attempts that ended now, in order."""
    opened = came_back = False
    if now - health.window_from >= WINDOW:
        health = replace(health, window_from=now, requests=0, failures=0)
    for success in succeeded:
        if success:
            came_back = came_back or (health.failing_since is not None and now - health.failing_since >= WAS_DOWN)
            health = _success(health, now)
        else:
            was_open = health.open_until
            health = _failure(health, now)
            opened = opened or health.open_until != was_open
    return Seen(health, opened, came_back)


def _success(health: Health, now: datetime) -> Health:
    closing = health.open_until is not None
    counts = (1, 0) if closing else (health.requests + 1, health.failures)
    return replace(
        health, requests=counts[0], failures=counts[1], open_until=None, failing_since=None, last_success=now,
        window_from=now if closing else health.window_from,
    )  # fmt: skip


def _failure(health: Health, now: datetime) -> Health:
    requests, failures = health.requests + 1, health.failures + 1
    tried_anew = health.open_until is not None and health.open_until <= now
    trips = health.open_until is None and requests >= MIN_REQUESTS and failures >= FAILING_SHARE * requests
    return replace(
        health, requests=requests, failures=failures, last_failure=now, failing_since=health.failing_since or now,
        open_until=now + OPEN_FOR if trips or tried_anew else health.open_until,
    )  # fmt: skip
