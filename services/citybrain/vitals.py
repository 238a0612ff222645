"""How a process itself does: its memory, its event loop, its connections, its clock. Used by runner; Readiness is told.

Nothing here knows a role. What is measured is in telemetry.py, under `_process`.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from citybrain.errors import CitybrainError
from citybrain.serving import Readiness
from citybrain.store.checkup import the_time
from citybrain.store.hung import Hung
from citybrain.store.migrate import lacking
from citybrain.store.pool import Pool, translated
from citybrain.telemetry import Metrics

_log = logging.getLogger(__name__)
NAP_S = 0.25
LOOK_S, ANSWER_S = 1.0, 5.0
TABLES_EVERY_S = 15.0
HUNG_EVERY_S = 5.0
SWITCH_S = 0.0005
_M_ARENA_MAX = -8  # of malloc.h


def calm_collector() -> None:
    """What was made at start stays for good, and batches make many objects but few cycles: look for garbage less often, and let
    threads share two heaps.

    Measured: decoding a batch costs half of what it does with Python's own settings; over a million events resident memory
    grows by 7 %, by 47 % with (100_000, 20, 20) and a heap for every thread (tests/bench).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 5, 2)
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:  # glibc alone has it
        mallopt(_M_ARENA_MAX, 2)


def take_turns() -> None:
    """Threads that work through batches give way to the loop sooner than Python's own 5 ms: who reads waits for the loop often.

    Measured beside two such threads: twenty waits took 345 ms, and 48 ms with this; the threads do as much as before.
    """
    sys.setswitchinterval(SWITCH_S)


def show_pools(pools: Mapping[str, Pool], metrics: Metrics) -> None:
    """From now on each scrape is told how many connections there are; names of pools are few and fixed."""
    for name, pool in pools.items():
        metrics.pool_limit.labels(name).set(pool.get_max_size())
        metrics.pool_connections.labels(name, "idle").set_function(pool.get_idle_size)
        metrics.pool_connections.labels(name, "used").set_function(partial(_used, pool))


def _used(pool: Pool) -> int:
    return pool.get_size() - pool.get_idle_size()


async def feel_the_loop(metrics: Metrics) -> None:
    """Until cancelled: how late a task that was due gets its turn. Whatever blocks the loop shows here."""
    while True:
        due = time.monotonic() + NAP_S
        await asyncio.sleep(NAP_S)
        metrics.event_loop_lag_seconds.observe(max(0.0, time.monotonic() - due))


async def watch_database(pool: Pool, readiness: Readiness, metrics: Metrics, clock: Callable[[], datetime]) -> None:
    """Until cancelled: whether the database answers, how soon, what time it has, and whether its tables are of this version."""
    tables_at = float("-inf")
    while True:
        try:
            async with asyncio.timeout(ANSWER_S):
                await _ask(pool, metrics, clock)
                readiness.database_answered()
                if time.monotonic() - tables_at > TABLES_EVERY_S:
                    readiness.lacks, tables_at = await lacking(pool), time.monotonic()
        except (CitybrainError, TimeoutError):
            _log.debug("database_does_not_answer")
        except Exception:  # noqa: BLE001 - the loop's outermost edge: logged, tried again
            _log.exception("database_not_watched")
        await asyncio.sleep(LOOK_S)


async def free_what_hangs(pool: Pool, metrics: Metrics, hung: Hung) -> None:
    """Until cancelled: end the sessions of processes that hang in the middle of a statement, so that others can go on."""
    while True:
        await asyncio.sleep(HUNG_EVERY_S)
        ended: list[int] = []
        try:
            async with asyncio.timeout(ANSWER_S):
                with translated():
                    async with pool.acquire() as connection:
                        ended = await hung.end(connection)
        except (CitybrainError, TimeoutError):
            _log.debug("database_does_not_answer")
        except Exception:  # noqa: BLE001 - the loop's outermost edge: logged, tried again
            _log.exception("hung_sessions_not_ended")
        if ended:
            metrics.hung_sessions_ended.inc(len(ended))
            _log.warning("hung_sessions_ended", extra={"pids": ended})


async def _ask(pool: Pool, metrics: Metrics, clock: Callable[[], datetime]) -> None:
    begun = time.monotonic()
    with translated():
        async with pool.acquire() as connection:
            asked = time.monotonic()
            now = await the_time(connection)
            ended = time.monotonic()
    metrics.database_answer_seconds.observe(ended - begun)
    metrics.clock_skew.set((clock() - now).total_seconds() - (ended - asked) / 2)
