"""The pool of connections to PostgreSQL, and how a driver's errors become ours. Made by runner and by commands.

A lost or dead server raises DatabaseUnavailable (retryable); wrong SQL stays the driver's error, for it is our mistake.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import asyncpg

from citybrain.errors import Unavailable

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    PoolConnection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    PoolConnection = asyncpg.pool.PoolConnectionProxy
    Connection = asyncpg.Connection

COMMAND_TIMEOUT_S, CONNECT_TIMEOUT_S = 60, 10
HUNG_AFTER_S = 15  # between two statements of a transaction, or in one that waits for its client: who took over gets its locks
_SESSION = {
    "timezone": "UTC",
    "timescaledb.max_tuples_decompressed_per_dml_transaction": "0",  # late rows of a thousand series are one batch; no limit
}
_HOSTS = r"([\w.-]*|\[[0-9A-Fa-f:]+\])(:\d+)?(,([\w.-]*|\[[0-9A-Fa-f:]+\])(:\d+)?)*"
_GONE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection that breaks within a statement may leave behind
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InsufficientResourcesError,
)


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached now."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise DatabaseUnavailable in place of whatever says that the server is gone, full or not ready."""
    try:
        yield
    except _GONE as error:
        raise DatabaseUnavailable(f"the database cannot be reached: {type(error).__name__}: {error}") from error


@asynccontextmanager
async def open_pool(dsn: str, *, max_size: int = 12, hung_after_s: int | None = None) -> AsyncIterator[Pool]:
    """A pool that is closed at the end; the first connection is tried at once. Raises DatabaseUnavailable.

    With `hung_after_s` the database drops a transaction whose process hangs between two statements; else as it is set there.
    """
    hung = {} if hung_after_s is None else {"idle_in_transaction_session_timeout": f"{hung_after_s}s"}
    with _reaching(dsn):
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=max_size,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings=_SESSION | hung,
        )
    try:
        yield pool
    finally:
        await _close(pool)


async def connect(dsn: str, command_timeout_s: float = COMMAND_TIMEOUT_S) -> asyncpg.Connection[asyncpg.Record]:
    """One connection, for the caller to close. Raises DatabaseUnavailable."""
    with _reaching(dsn):
        return await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S, command_timeout=command_timeout_s)


@contextmanager
def _reaching(dsn: str) -> Iterator[None]:
    """Say which database cannot be reached, and why, in one line."""
    try:
        yield
    except (*_GONE, asyncpg.PostgresError, ValueError) as error:
        why = _why(error)
        raise DatabaseUnavailable(f"the database at {address(dsn)} cannot be reached: {why}") from error


async def _close(pool: Pool) -> None:
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except (TimeoutError, *_GONE):
        pool.terminate()


def _why(error: Exception) -> str:
    """One line. The text of a ValueError may quote a part of the address that is a password, so it is not shown."""
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # a certificate that is refused is both
        return "the address cannot be read; signs like / ? # @ in a password must be written as %2F %3F %23 %40"
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_TIMEOUT_S} s"
    return str(error).partition("\n")[0] or type(error).__name__


def address(dsn: str) -> str:
    """The part of a database address that may be shown: no user, no password, whatever signs they hold."""
    place, _, query = dsn.partition("://")[2].partition("?")
    place = place.rpartition("@")[2]
    readable = "@" not in query and re.fullmatch(_HOSTS, place.partition("/")[0])
    return place if readable else "an address that is not shown"
