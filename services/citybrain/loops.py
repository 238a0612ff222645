"""Loops that never end by themselves: step after step, rest, sleep until woken. Called by rollup, alert and deliver."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from citybrain.errors import CitybrainError

_log = logging.getLogger(__name__)
RETRY_S = 1.0


class Counted(Protocol):
    """A counter by error type."""

    def labels(self, *values: str) -> Counted: ...
    def inc(self) -> None: ...


async def until_cancelled(
    step: Callable[[], Awaitable[bool]],
    failed: Callable[[Exception], None],
    wake: asyncio.Event,
    idle_s: float,
    rest_s: Callable[[float], float] = lambda _: 0.0,
) -> None:
    """Steps, each begun anew after a failure. A step says whether there may be more to do at once.

    If so it is followed after `rest_s` (of the seconds it took), otherwise when `wake` is set or after `idle_s`.
    """
    while True:
        begun = time.monotonic()
        try:
            busy = await step()
        except Exception as error:  # noqa: BLE001 - the loop's outermost edge: told, and tried again
            failed(error)
            await asyncio.sleep(RETRY_S)
            continue
        if not busy:
            await woken(wake, idle_s)
            wake.clear()
        elif (rest := rest_s(time.monotonic() - begun)) > 0:
            await asyncio.sleep(rest)


async def woken(wake: asyncio.Event, limit_s: float) -> None:
    """Wait until it is set, at most so long."""
    try:
        async with asyncio.timeout(limit_s):
            await wake.wait()
    except TimeoutError:
        return


def note_failure(
    log: logging.Logger, event: str, errors: Counted, error: Exception, known: tuple[type[Exception], ...] = ()
) -> None:
    """Count and log what a loop goes on after; with its traceback unless it is an error of ours."""
    errors.labels(type(error).__name__).inc()
    unknown = None if isinstance(error, (CitybrainError, *known)) else error
    log.warning(event, extra={"reason": str(error)[:500]}, exc_info=unknown)
