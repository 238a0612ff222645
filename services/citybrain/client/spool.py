"""Events on disk until the city has answered for them. Used by field_app; thread-safe, and safe to open again after any crash.

SQLite with a write-ahead log that is synced at every commit: what `put` has returned for survives a power cut.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
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


class _Damaged(sqlite3.DatabaseError):
    """The file is not what was written."""


class Spool:
    """`limit_bytes` bounds what waits. Raises ClientError when the file is no spool, is damaged, or cannot be read or written:
    a damaged one is left as it is."""

    def __init__(self, path: Path, limit_bytes: int = 1 << 30) -> None:
        self._path, self._limit_bytes = path, limit_bytes
        self._lock = threading.Lock()
        with _explained(path, "cannot be used as a spool"):
            _make(path)
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        try:
            with _explained(path, "cannot be used as a spool"):
                self._open()
        except ClientError:
            self._database.close()
            raise

    def _open(self) -> None:
        (said,) = self._database.execute("pragma quick_check(1)").fetchone()
        if said != "ok":
            raise _Damaged(said)
        with closing(self._database.execute("pragma journal_mode = wal")):
            self._database.execute("pragma synchronous = full")
        self._database.executescript(_TABLES)
        self._bytes = self._size()

    def put(self, bodies: Sequence[bytes]) -> None:
        """Keep events, in order; on disk when it returns. Raises SpoolFull, ClientError, and then keeps none."""
        size = sum(map(len, bodies))
        with self._lock:
            if self._bytes + size > self._limit_bytes:
                with _explained(self._path, "cannot be read"):
                    self._bytes = self._size()  # another process may have sent some
            if self._bytes + size > self._limit_bytes:
                raise SpoolFull(f"the spool holds {self._bytes} bytes and takes {self._limit_bytes} at most")
            with self._writing():
                self._database.executemany("insert into waiting (body) values (?)", ((body,) for body in bodies))
            self._bytes += size

    def take(self, most: int, most_bytes: int) -> list[Waiting]:
        """The first events that wait, at least one if there are any; they wait until `done`. Raises ClientError."""
        with self._lock, _explained(self._path, "cannot be read"):
            rows = [Waiting(*row) for row in self._database.execute("select no, body from waiting order by no limit ?", (most,))]
        size = 0
        for count, one in enumerate(rows):
            size += len(one.body) + 1
            if count and size > most_bytes:
                return rows[:count]
        return rows

    def done(self, answered: Sequence[Waiting], rejections: Mapping[int, Rejection]) -> None:
        """The city has answered for these; `rejections` by place among them are kept as refused. Raises ClientError: then they
        all wait still."""
        refused = [
            (one.number, one.body, said.code, said.field, said.detail)
            for place, one in enumerate(answered)
            if (said := rejections.get(place)) is not None
        ]
        with self._lock:
            with self._writing():
                self._database.executemany("insert or ignore into refused values (?, ?, ?, ?, ?)", refused)
                self._database.executemany("delete from waiting where no = ?", ((one.number,) for one in answered))
            self._bytes -= sum(len(one.body) for one in answered)

    def count(self) -> int:
        """How many events wait. Raises ClientError."""
        with self._lock, _explained(self._path, "cannot be read"):
            return int(self._database.execute("select count(*) from waiting").fetchone()[0])

    def refused(self) -> list[Refused]:
        """What the city refused, the first first; `forget_refused` forgets it. Raises ClientError."""
        with self._lock, _explained(self._path, "cannot be read"):
            return [Refused(*row) for row in self._database.execute("select body, code, field, detail from refused order by no")]

    def forget_refused(self) -> None:
        """Drop what was refused: somebody has looked at it. Raises ClientError."""
        with self._lock, self._writing():
            self._database.execute("delete from refused")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """All or nothing, on disk at the end."""
        with _explained(self._path, "cannot be written"):
            self._database.execute("begin immediate")
            try:
                yield
                self._database.execute("commit")
            finally:
                if self._database.in_transaction:
                    self._database.execute("rollback")

    def _size(self) -> int:
        return int(self._database.execute("select coalesce(sum(length(body)), 0) from waiting").fetchone()[0])


def _make(path: Path) -> None:
    """A new spool appears whole: so one that is empty was cut off, and is not taken for a new one."""
    if path.exists():
        if path.stat().st_size == 0:
            raise _Damaged("it is empty")
        return
    number, name = tempfile.mkstemp(".new", f"{path.name}.", path.parent)
    os.close(number)
    fresh = Path(name)
    with closing(sqlite3.connect(fresh, isolation_level=None, timeout=10)) as database:
        database.executescript(_TABLES)
    try:
        os.link(fresh, path)
    except FileExistsError:  # another process was quicker
        pass
    except OSError:  # a file system without hard links
        fresh.replace(path)
    fresh.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path, trouble: str) -> Iterator[None]:
    """Raise ClientError in one clear line for what the disk or SQLite says."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        damaged = (
            isinstance(error, _Damaged | UnicodeDecodeError) or type(error) is sqlite3.DatabaseError
        )  # others are a subclass of it
        advice = "; it is damaged and left as it is: put it aside to begin anew" if damaged else ""
        raise ClientError(f"{path} {trouble}: {' '.join(str(error).split())}{advice}") from error
