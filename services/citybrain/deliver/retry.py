"""When a webhook is tried again, and when that ends. Called by worker. Pure: no clock, no dice of its own.

The schedule is that of Standard Webhooks. Jitter is drawn from the delivery's id and the attempt, so a retry of the same
decision comes out the same.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from uuid import UUID

WAITS_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)  # after the first attempt, which is made at once
JITTER = 0.2
MAX_RETRY_AFTER = timedelta(hours=1)
_ASKS_TO_WAIT = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt. `error` None: the receiver has taken it."""

    status: int | None = None
    error: str | None = None
    body: bytes = b""
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Again:
    """The next attempt is made after `wait`."""

    wait: timedelta


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The schedule is at its end; people may send it again."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver says that there is no such endpoint any more: nothing is sent to it until people say so."""


Next = Delivered | Again | GaveUp | Gone


def decide(answer: Answer, delivery_id: UUID, step: int) -> Next:
    """What follows the attempt number `step` (from 1) of a delivery's schedule."""
    if answer.error is None:
        return Delivered()
    if answer.status == HTTPStatus.GONE:
        return Gone()
    if step > len(WAITS_S):
        return GaveUp()
    wait = WAITS_S[step - 1] * random.Random(f"{delivery_id}:{step}").uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    asked = answer.retry_after if answer.status in _ASKS_TO_WAIT and answer.retry_after is not None else timedelta()
    return Again(max(timedelta(seconds=wait), min(asked, MAX_RETRY_AFTER)))


def retry_after(text: str | None, now: datetime) -> timedelta | None:
    """The wait that a Retry-After header asks for, in seconds or as a date (RFC 9110); None for anything else."""
    if text is None or len(text) > 64:
        return None
    if text.strip().isdecimal() and text.isascii():
        return timedelta(seconds=min(int(text), 10**9))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(timedelta(), at - now) if at.tzinfo is not None else None
