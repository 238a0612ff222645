"""Loops that never end by themselves: step after step, rest, sleep until woken, and how each of them does. Used by every role."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from citybrain.errors import CitybrainError

_log = logging.getLogger(__name__)
RETRY_S = 1.0
FAILURES, FAILING_S = 3, 15.0  # in a row, and for so long: then it is more than a stumble
STUCK_S = 300.0  # more than any statement may take: then it hangs
BESIDE_FROM = 500  # rows: work on fewer is done before a thread has begun
_Result = TypeVar("_Result")


class Counted(Protocol):
    """A counter by error type."""

    def labels(self, *values: str) -> Counted: ...
    def inc(self) -> None: ...


class Told(Protocol):
    """A gauge."""

    def labels(self, *values: str) -> Told: ...
    def set_to_current_time(self) -> None: ...


@dataclass(slots=True)
class Pulse:
    """How one loop does. It tells of every step; /readyz asks whether it works, Prometheus when it last did.

    A neighbour that is away (a retryable error) is no fault of the loop: it comes round, and works again when the neighbour does.
    """

    name: str
    done_at: Told
    failures: Counted
    _round_at: float | None = None  # of the monotonic clock, as all that follow
    _well_at: float | None = None
    _failed_since: float | None = None
    _failures: int = 0  # in a row
    _why: str = ""

    def done(self) -> None:
        """A step ended well."""
        self._round_at = self._well_at = time.monotonic()
        self._failed_since, self._failures = None, 0
        self.done_at.set_to_current_time()

    def failed(self, error: Exception) -> None:
        """A step failed, and is tried again."""
        self.failures.inc()
        self._round_at = time.monotonic()
        if isinstance(error, CitybrainError) and error.retryable:
            return
        self._failed_since = self._failed_since or self._round_at
        self._failures, self._why = self._failures + 1, str(error)[:200] or type(error).__name__

    def around(self, step: Callable[[], Awaitable[_Result]]) -> Callable[[], Awaitable[_Result]]:
        """The same step, which tells how it ended."""

        async def watched() -> _Result:
            try:
                result = await step()
            except Exception as error:
                self.failed(error)
                raise
            self.done()
            return result

        return watched

    def well_ago_s(self) -> float | None:
        """Seconds since a step ended well; None before the first."""
        return None if self._well_at is None else time.monotonic() - self._well_at

    def why_not(self) -> str | None:
        """Why the loop does not work; None when it does."""
        now = time.monotonic()
        if self._round_at is None:
            return f"{self.name} has not come round yet"
        if self._failed_since is not None and self._failures >= FAILURES and now - self._failed_since > FAILING_S:
            return f"{self.name} fails: {self._why}"
        if now - self._round_at > STUCK_S:
            return f"{self.name} has not come round for {now - self._round_at:.0f} s"
        return None


@dataclass(slots=True)
class Pulses:
    """Those of a process, by loop; two loops of one kind have one each."""

    done_at: Told
    failures: Counted
    _all: defaultdict[str, list[Pulse]] = field(default_factory=lambda: defaultdict(list))

    def begin(self, name: str) -> Pulse:
        """That of a loop that begins."""
        made = Pulse(name, self.done_at.labels(name), self.failures.labels(name))
        self._all[name].append(made)
        return made

    def well_ago_s(self, name: str) -> float | None:
        """Seconds since a step of a loop of this name ended well; None before the first."""
        return min((ago for one in self._all.get(name, ()) if (ago := one.well_ago_s()) is not None), default=None)

    def why_not(self, names: Iterable[str]) -> list[str]:
        """Why loops that a process should have do not work."""
        found: list[str] = []
        for name in names:
            pulses = self._all.get(name, [])
            reasons = [reason for one in pulses if (reason := one.why_not()) is not None]
            found += reasons[:1] if pulses else [f"{name} has not come round yet"]
        return found


async def until_cancelled(
    step: Callable[[], Awaitable[bool]],
    failed: Callable[[Exception], None],
    wake: asyncio.Event,
    idle_s: float,
    rest_s: Callable[[float], float] = lambda _: 0.0,
) -> None:
    """Steps, each begun anew after a failure. A step says whether there may be more to do at once.

    If so it is followed after `rest_s` (of the seconds it took), otherwise when `wake` is set or after `idle_s`. `wake` is
    cleared as a step begins, which sees what was there by then.
    """
    while True:
        wake.clear()
        begun = time.monotonic()
        try:
            busy = await step()
        except Exception as error:  # noqa: BLE001 - the loop's outermost edge: told, and tried again
            failed(error)
            await asyncio.sleep(RETRY_S)
            continue
        if not busy:
            await woken(wake, idle_s)
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


async def beside_the_loop(rows: int, work: Callable[..., _Result], *arguments: object) -> _Result:
    """What this work on so many rows returns; on a thread where there are many, for the loop serves others meanwhile."""
    return work(*arguments) if rows < BESIDE_FROM else await asyncio.to_thread(work, *arguments)
