"""Crashes on purpose: a pool whose connections stop at the k-th statement, before or after the server has done it.

Where the statement is a transaction's commit, "after" is the worst of all: it is committed, and nobody was told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from citybrain.store.pool import Pool

_STATEMENTS = (
    "execute",
    "executemany",
    "fetch",
    "fetchrow",
    "fetchval",
    "copy_to_table",
    "copy_records_to_table",
    "copy_from_query",
)


class Crash(Exception):
    """The process is gone."""


@dataclass
class Fuse:
    """Blows at the statement number `at` (from 1), never when None; `late`: once the server has done it."""

    at: int | None = None
    late: bool = False
    seen: int = 0

    def count(self) -> bool:
        """Whether this statement is the one."""
        self.seen += 1
        return self.seen == self.at

    def at_commit(self) -> bool:
        """The same for a commit: raises Crash in place of one that is never done."""
        blown = self.count()
        if blown and not self.late:
            raise Crash("before the commit")
        return blown


class CrashingPool:
    """A pool as roles use it."""

    def __init__(self, pool: Pool, fuse: Fuse) -> None:
        self._pool = pool
        self._fuse = fuse

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[_Connection]:
        async with self._pool.acquire() as connection:
            yield _Connection(connection, self._fuse)


class _Connection:
    def __init__(self, connection: Any, fuse: Fuse) -> None:
        self._connection = connection
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._connection, name)
        if name not in _STATEMENTS:
            return real

        async def call(*arguments: Any, **options: Any) -> Any:
            blown = self._fuse.count()
            if blown and not self._fuse.late:
                raise Crash(f"before {name}")
            result = await real(*arguments, **options)
            if blown:
                raise Crash(f"after {name}")
            return result

        return call

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            yield
            blown = self._fuse.at_commit()
        except BaseException:
            await transaction.rollback()
            raise
        await transaction.commit()
        if blown:
            raise Crash("after the commit")
