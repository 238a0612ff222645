"""Start, adopt and stop the PostgreSQL server of one data folder. Called by embedded and by the tests' fixtures.

Whoever calls holds the folder's lock. A server lives in a session of its own, so neither Ctrl-C nor the end of our process
ends it: one that is left over is found by postmaster.pid and by its command line, never by its process id alone, because
that may meanwhile be somebody else's. No process is signalled that is not the server of this folder.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import asyncpg

from citybrain.store.embedded_lock import FolderUnusable
from citybrain.store.embedded_process import command_of, exists, is_running
from citybrain.store.embedded_programs import MAJOR, Programs, ServerFailed, environment, last_line, programs_for, run

USER = "citybrain"
_SOCKET, _SOCKET_PATH_LIMIT_BYTES = ".s.PGSQL.5432", 103  # 107 on Linux, 103 on macOS
_ROOT_ONLY_BEFORE, _ROOT_ONLY = (f"local {databases} all peer map=city\n" for databases in ("all", "all,replication"))
_LOG_LIMIT_BYTES = 16 * 1024 * 1024
_START_ATTEMPTS = 6  # a killed server's last processes may need a moment to leave its shared memory
_RECOVERY_TIMEOUT_S, _SILENCE_TIMEOUT_S, _CONNECT_TIMEOUT_S = 600.0, 15.0, 5.0
_STOP_STEPS = ((signal.SIGINT, 4.0), (signal.SIGQUIT, 1.5), (signal.SIGKILL, 0.5))  # fast, immediate, dead
_POLL_S = 0.02

_log = logging.getLogger("citybrain.store.embedded")


class Server:
    """The server of `folder` (absolute, existing): its cluster in postgres/, its log in postgres.log."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.data = folder / "postgres"
        self.sockets = _socket_folder(folder)
        self._settings = {**settings, "unix_socket_directories": str(self.sockets)}
        self._child: subprocess.Popen[bytes] | None = None
        self._process_id = 0

    async def start(self) -> None:
        """Make the cluster if there is none; adopt the server that runs, or start one; return when it answers.

        Raises ServerFailed, FolderUnusable.
        """
        programs = await programs_for(self.data)
        await self._make_cluster(programs)
        for attempt in range(_START_ATTEMPTS):
            await asyncio.sleep(attempt / 2)
            if await self._adopt(programs):
                return
            self._remove_stale_files()
            self._make_socket_folder(programs)
            self._spawn(programs)
            if await self._answers():
                _log.info("postgres_started", extra={"folder": str(self.folder), "process_id": self._process_id})
                return
            await self.stop()
        raise ServerFailed(f"PostgreSQL of {self.folder} does not start: {self._last_words()}")

    def is_running(self) -> bool:
        """Whether the server's main process lives."""
        if self._child is not None:
            return self._child.poll() is None
        return self._process_id != 0 and is_running(self._process_id, self.data)

    async def stop(self) -> None:
        """Stop the server within six seconds: a fast shutdown, an immediate one (it recovers at next start), the end."""
        for number, limit_s in _STOP_STEPS:
            if not self.is_running():
                break
            if number != signal.SIGINT:
                _log.warning("postgres_stop_forced", extra={"folder": str(self.folder), "signal": number.name})
            with suppress(ProcessLookupError):
                os.kill(self._process_id, number)
            await self._wait_gone(limit_s)
        self._child, self._process_id = None, 0
        if self.sockets.parent != self.folder:
            with suppress(OSError):  # not there, or not empty
                self.sockets.rmdir()

    def dsn(self, database: str) -> str:
        """How to reach a database of the server, also while it is down."""
        return socket_dsn(self.sockets, database)

    def bound_log(self) -> None:
        """Empty the log when it has grown too large; the server goes on writing at its end."""
        log = self.folder / "postgres.log"
        if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
            os.truncate(log, 0)
            _log.warning("postgres_log_emptied", extra={"folder": str(self.folder), "limit_bytes": _LOG_LIMIT_BYTES})

    async def _make_cluster(self, programs: Programs) -> None:
        for unfinished in self.folder.glob("postgres.new.*"):
            shutil.rmtree(unfinished)
        if self.data.exists():
            self._check_cluster(programs)
            return
        _log.info("postgres_cluster_is_made", extra={"folder": str(self.folder), "version": MAJOR})
        new = tempfile.mkdtemp(prefix="postgres.new.", dir=self.folder)
        programs.give(Path(new))
        options = (
            f"--username={USER}",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        )
        code, said = await run((*programs.prefix, programs.path("initdb"), *options, "-D", new))
        if code != 0:
            raise ServerFailed(f"no database can be made in {self.folder}: {last_line(said)}")
        if programs.prefix:
            _admit_root_only(Path(new))
        os.rename(new, self.data)  # noqa: PTH104 - at once; so a cluster is there whole or not at all
        _sync(self.folder)

    def _check_cluster(self, programs: Programs) -> None:
        try:
            major = (self.data / "PG_VERSION").read_text("ascii").strip()
        except FileNotFoundError as error:
            raise FolderUnusable(f"{self.data} holds something else than a database") from error
        except PermissionError as error:
            raise FolderUnusable(f"{self.data} belongs to another user") from error
        if os.geteuid() == 0 == self.data.stat().st_uid and major == str(MAJOR):
            _give_all(programs, self.data)  # a copy or a base backup that root has made
        if self.data.stat().st_uid != programs.user_id:
            raise FolderUnusable(f"{self.data} belongs to another user")
        if programs.prefix:
            _admit_backups(self.data)
        if major != str(MAJOR):
            raise FolderUnusable(
                f"{self.data} was made by PostgreSQL {major} and this citybrain brings {MAJOR}:"
                " use the release of citybrain that made it, or convert the folder with pg_upgrade"
            )

    def _make_socket_folder(self, programs: Programs) -> None:
        try:
            self.sockets.mkdir(mode=0o700, exist_ok=True)
            found = self.sockets.lstat()
            if found.st_uid == os.geteuid() != programs.user_id:
                programs.give(self.sockets)
            elif found.st_uid != programs.user_id or self.sockets.is_symlink():
                raise FolderUnusable(f"{self.sockets} belongs to another user")
        except OSError as error:
            raise FolderUnusable(f"{self.sockets} cannot be made: {error.strerror}") from error

    def _command(self, programs: Programs) -> tuple[str, ...]:
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        return (programs.path("postgres"), "-D", str(self.data), *options)

    async def _adopt(self, programs: Programs) -> bool:
        found = _recorded_process_id(self.data)
        if not is_running(found, self.data):
            return False
        self._child, self._process_id = None, found
        same = command_of(found) == " ".join(self._command(programs))
        if same and await self._answers():
            _log.info("postgres_adopted", extra={"folder": str(self.folder), "process_id": found})
            return True
        _log.info("postgres_left_over_is_stopped", extra={"folder": str(self.folder), "process_id": found})
        await self.stop()
        return False

    def _remove_stale_files(self) -> None:
        """No server runs. Files of a dead process are PostgreSQL's to judge; those that say nothing or name a process
        that is now somebody else's would stop it.
        """
        recorded = _recorded_process_id(self.data)
        if recorded and not exists(recorded):
            return
        for stale in (self.data / "postmaster.pid", self.sockets / _SOCKET, self.sockets / f"{_SOCKET}.lock"):
            stale.unlink(missing_ok=True)

    def _spawn(self, programs: Programs) -> None:
        path = self.folder / "postgres.log"
        if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._child = subprocess.Popen(  # noqa: S603 - the wheel's program and our own settings
                (*programs.prefix, *self._command(programs)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                env=environment(),
                start_new_session=True,
            )
        finally:
            os.close(log)
        self._process_id = self._child.pid

    async def _answers(self) -> bool:
        """Wait until the server takes connections; False when it ends or says nothing for a while."""
        start = heard = time.monotonic()
        while self.is_running():
            try:
                connection = await asyncpg.connect(self.dsn("postgres"), timeout=_CONNECT_TIMEOUT_S)
            except asyncpg.CannotConnectNowError:  # it recovers after a crash
                heard = time.monotonic()
            except asyncpg.TooManyConnectionsError:
                return True
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                pass
            else:
                await connection.close(timeout=_CONNECT_TIMEOUT_S)
                return True
            now = time.monotonic()
            if now - heard > _SILENCE_TIMEOUT_S or now - start > _RECOVERY_TIMEOUT_S:
                return False
            await asyncio.sleep(_POLL_S)
        return False

    async def _wait_gone(self, limit_s: float) -> None:
        for _ in range(int(limit_s / _POLL_S)):
            if not self.is_running():
                return
            await asyncio.sleep(_POLL_S)

    def _last_words(self) -> str:
        path = self.folder / "postgres.log"
        return f"{last_line(path.read_text('utf-8', 'replace')[-4000:])} (more in {path})"


def socket_dsn(sockets: Path, database: str) -> str:
    """A dsn for asyncpg and libpq."""
    return f"postgresql://{USER}@/{database}?host={quote(str(sockets), safe='')}&port=5432"


def running_sockets(data: Path) -> Path | None:
    """The socket folder that the server of a cluster has written down, None when none has."""
    lines = _postmaster_file(data)
    return Path(lines[4]) if len(lines) > 4 and lines[4] else None


def _admit_root_only(data: Path) -> None:
    """Root's server runs as another user; other processes of that user must not get in."""
    texts = {"pg_hba.conf": _ROOT_ONLY, "pg_ident.conf": f"city {pwd.getpwuid(0).pw_name} {USER}\n"}
    for name, text in texts.items():
        (data / name).write_text(text)
        _sync(data / name)


def _admit_backups(data: Path) -> None:
    """A folder of an earlier version lets root in, but not for a base backup."""
    if (data / "pg_hba.conf").read_text() in {"", _ROOT_ONLY_BEFORE}:  # empty: we were killed between the two
        (data / "pg_hba.conf").write_text(_ROOT_ONLY)
        _sync(data / "pg_hba.conf")


def _give_all(programs: Programs, data: Path) -> None:
    """Nobody can run a cluster of root's, so PostgreSQL's user gets it, its main folder last."""
    for folder, _, names in os.walk(data, topdown=False):
        for path in (*(os.path.join(folder, name) for name in names), folder):  # noqa: PTH118 - thousands of files
            os.chown(path, programs.user_id, programs.group_id, follow_symlinks=False)


def _sync(path: Path) -> None:
    """Bring a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _recorded_process_id(data: Path) -> int:
    lines = _postmaster_file(data)
    return int(lines[0]) if lines and lines[0].isascii() and lines[0].isdigit() else 0


def _postmaster_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []


def _socket_folder(folder: Path) -> Path:
    """Where the socket can be: below the data folder, unless that path is too long or holds what separates lists."""
    sockets = folder / "run"
    fits = len(os.fsencode(sockets / _SOCKET)) <= _SOCKET_PATH_LIMIT_BYTES
    if fits and not set(str(sockets)) & set(',"'):
        return sockets
    name = sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"citybrain-{os.geteuid()}-{name}"
