"""Events on disk until the city has answered for them. Used by field_app; thread-safe, and safe to open again after any crash.

SQLite with a write-ahead log that is synced at every commit: what `put` has returned for survives a power cut.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from citybrain.client.errors import ClientError, SpoolFull
from citybrain.client.http import Rejection

_TABLES = """
create table if not exists waiting (no integer primary key autoincrement, body blob not null);
create table if not exists refused (no integer primary key, body blob not null, code text, field text, detail text);
"""


class Waiting(NamedTuple):
    """An event that the city has not answered for: its number and its JSON."""

    number: int
    body: bytes


class Refused(NamedTuple):
    """An event that the city refused, as it was posted, and why."""

    body: bytes
    code: str
    field: str
    detail: str


class Spool:
    """`limit_bytes` bounds what waits. Raises ClientError when the file is no spool or cannot be written."""

    def __init__(self, path: Path, limit_bytes: int = 1 << 30) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            with closing(self._database.execute("pragma journal_mode = wal")):
                self._database.execute("pragma synchronous = full")
            self._database.executescript(_TABLES)
            self._bytes = self._size()
        except sqlite3.Error as error:
            raise ClientError(f"{path} cannot be used as a spool: {error}") from error

    def put(self, bodies: Sequence[bytes]) -> None:
        """Keep events, in order; on disk when it returns. Raises SpoolFull, ClientError, and then keeps none."""
        size = sum(map(len, bodies))
        with self._lock:
            if self._bytes + size > self._limit_bytes:
                self._bytes = self._size()  # another process may have sent some
            if self._bytes + size > self._limit_bytes:
                raise SpoolFull(f"the spool holds {self._bytes} bytes and takes {self._limit_bytes} at most")
            try:
                self._database.execute("begin immediate")
                self._database.executemany("insert into waiting (body) values (?)", ((body,) for body in bodies))
                self._database.execute("commit")
            except sqlite3.Error as error:
                if self._database.in_transaction:
                    self._database.execute("rollback")
                raise ClientError(f"the spool cannot be written: {error}") from error
            self._bytes += size

    def take(self, most: int, most_bytes: int) -> list[Waiting]:
        """The first events that wait, at least one if there are any; they wait until `done`."""
        with self._lock:
            rows = [Waiting(*row) for row in self._database.execute("select no, body from waiting order by no limit ?", (most,))]
        size = 0
        for count, one in enumerate(rows):
            size += len(one.body) + 1
            if count and size > most_bytes:
                return rows[:count]
        return rows

    def done(self, answered: Sequence[Waiting], rejections: Mapping[int, Rejection]) -> None:
        """The city has answered for these; `rejections` by place among them are kept as refused."""
        refused = [
            (one.number, one.body, said.code, said.field, said.detail)
            for place, one in enumerate(answered)
            if (said := rejections.get(place)) is not None
        ]
        with self._lock:
            self._database.execute("begin immediate")
            self._database.executemany("insert or ignore into refused values (?, ?, ?, ?, ?)", refused)
            self._database.executemany("delete from waiting where no = ?", ((one.number,) for one in answered))
            self._database.execute("commit")
            self._bytes -= sum(len(one.body) for one in answered)

    def count(self) -> int:
        """How many events wait."""
        with self._lock:
            return int(self._database.execute("select count(*) from waiting").fetchone()[0])

    def refused(self) -> list[Refused]:
        """What the city refused, the first first; `forget_refused` forgets it."""
        with self._lock:
            return [Refused(*row) for row in self._database.execute("select body, code, field, detail from refused order by no")]

    def forget_refused(self) -> None:
        """Drop what was refused: somebody has looked at it."""
        with self._lock:
            self._database.execute("delete from refused")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _size(self) -> int:
        return int(self._database.execute("select coalesce(sum(length(body)), 0) from waiting").fetchone()[0])
