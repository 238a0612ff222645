"""Events on disk until the city has answered for them. Used by field_app; thread-safe, and safe to open again after any crash.

SQLite with a rollback journal that is synced at every commit: what `put` has returned for survives a power cut. The journal has
its room from the beginning and pages are rewritten in place, so that `done` needs no space on a disk that is full.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from citybrain.client.errors import ClientError, SpoolFull
from citybrain.client.http import Rejection

JOURNAL_BYTES = 2 << 20  # twice what `done` of a batch changes
_REFUSED_SHARES = (16, 1 << 10, 1 << 16)  # of the limit: how much of what was refused is kept; less on a disk that is full
_TABLES = """
create table if not exists waiting (no integer primary key autoincrement, body blob not null);
create table if not exists refused (no integer primary key, body blob not null, code text, field text, detail text);
create table if not exists room (no integer primary key, body blob);
"""
_USED = "select (page_count - freelist_count) * page_size from pragma_page_count, pragma_freelist_count, pragma_page_size"
_FREE = "select freelist_count * page_size from pragma_freelist_count, pragma_page_size"
_FORGET_OLDEST = """
delete from refused where no in (
  select no from (select no, sum(length(body)) over (order by no desc) as to_newest from refused) where to_newest > ?)
"""


class Waiting(NamedTuple):
    """An event that the city has not answered for: its number and its JSON."""

    number: int
    body: bytes


class Refused(NamedTuple):
    """An event that the city refused, as it was posted, and why."""

    number: int
    body: bytes
    code: str
    field: str
    detail: str


class _Damaged(sqlite3.DatabaseError):
    """The file is not what was written."""


class Spool:
    """`limit_bytes` bounds what is kept, with what SQLite adds, whoever put it. Raises ClientError when the file is no spool, is
    damaged, or cannot be read or written: a damaged one is left as it is."""

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
        for pragma in ("journal_mode = persist", f"journal_size_limit = {JOURNAL_BYTES}", "synchronous = full"):
            self._database.execute(f"pragma {pragma}").fetchall()
        (said,) = self._database.execute("pragma quick_check(1)").fetchone()
        if said != "ok":
            raise _Damaged(said)
        self._database.executescript(_TABLES)
        with suppress(sqlite3.OperationalError):  # or else it goes on with the room there is
            self._make_room()

    def _make_room(self) -> None:
        """The journal grows by what a transaction overwrites, and stays as large as it was."""
        journal = _beside(self._path, "-journal")
        if not journal.exists() or journal.stat().st_size < JOURNAL_BYTES:
            with suppress(sqlite3.OperationalError):  # the disk is full already
                self._database.execute("insert or ignore into room values (1, zeroblob(?))", (JOURNAL_BYTES,))
                self._database.execute("update room set body = randomblob(?)", (JOURNAL_BYTES,))
        if self._ask("select exists (select * from room)"):
            self._database.execute("delete from room")
            self._give_back()

    def _give_back(self) -> None:
        """What was filled and is not needed any more goes back to the disk: cheap when nothing waits, and left alone before."""
        if self._ask(_FREE) >= JOURNAL_BYTES and not self._ask("select exists (select * from waiting)"):
            self._database.execute("vacuum")

    def put(self, bodies: Sequence[bytes]) -> None:
        """Keep events, in order; on disk when it returns. Raises SpoolFull, ClientError, and then keeps none."""
        with self._lock, self._writing():
            self._database.executemany("insert into waiting (body) values (?)", ((body,) for body in bodies))
            if self._ask(_USED) > self._limit_bytes:
                raise SpoolFull(f"the spool takes {self._limit_bytes} bytes at most; what was put before is safe")

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
            for share in _REFUSED_SHARES:
                try:
                    self._settle(answered, refused, self._limit_bytes // share)
                    break
                except ClientError as error:
                    if getattr(error.__cause__, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL:
                        raise
            else:
                self._settle(answered, [], 0)
            with suppress(sqlite3.Error):  # if not now, then later
                self._give_back()

    def _settle(self, answered: Sequence[Waiting], refused: Sequence[tuple[int, bytes, str, str, str]], most_bytes: int) -> None:
        """What goes first makes room for what comes."""
        with self._writing():
            self._database.executemany("delete from waiting where no = ?", ((one.number,) for one in answered))
            if refused:
                sizes = accumulate(len(row[1]) for row in reversed(refused))
                newest = [row for row, size in zip(reversed(refused), sizes, strict=True) if size <= most_bytes]
                self._database.execute(_FORGET_OLDEST, (most_bytes - sum(len(row[1]) for row in newest),))
                self._database.executemany("insert or ignore into refused values (?, ?, ?, ?, ?)", newest)

    def count(self) -> int:
        """How many events wait. Raises ClientError."""
        with self._lock, _explained(self._path, "cannot be read"):
            return self._ask("select count(*) from waiting")

    def refused(self) -> list[Refused]:
        """What the city refused, the first first: the newest of it, up to a sixteenth of the limit. Raises ClientError."""
        with self._lock, _explained(self._path, "cannot be read"):
            return [Refused(*row) for row in self._database.execute("select * from refused order by no")]

    def forget(self, looked_at: Sequence[Refused]) -> None:
        """Drop these of what was refused. Raises ClientError."""
        with self._lock, self._writing():
            self._database.executemany("delete from refused where no = ?", ((one.number,) for one in looked_at))

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

    def _ask(self, question: str) -> int:
        return int(self._database.execute(question).fetchone()[0])


def _make(path: Path) -> None:
    """A new spool appears whole: so one that is empty was cut off, and is not taken for a new one."""
    if not path.exists():
        try:
            _make_whole(path)
        except sqlite3.OperationalError:
            if not path.exists():  # or else another process was quicker, and has removed the lock
                raise
    if path.stat().st_size == 0:
        raise _Damaged("it is empty")


def _make_whole(path: Path) -> None:
    """One process does it, whatever the file system can do: SQLite's lock on a file beside it stays until there is a spool."""
    lock, fresh = _beside(path, ".lock"), _beside(path, ".new")
    with closing(sqlite3.connect(lock, isolation_level=None, timeout=10)) as locked:
        locked.execute("begin exclusive")
        try:
            if not path.exists():
                fresh.unlink(missing_ok=True)
                with closing(sqlite3.connect(fresh, isolation_level=None)) as database:
                    database.executescript(_TABLES)
                _beside(path, "-journal").unlink(missing_ok=True)  # of a spool that was put aside
                fresh.replace(path)
            with suppress(OSError):  # held open by another, where that matters
                lock.unlink()
        finally:
            fresh.unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


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
