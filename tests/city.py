"""The real command in a process of its own, for the end-to-end tests: start, kill, stop, ask, post. Imports no role.

`City(root)` keeps everything below `root`. Only processes are ended that were started for that folder: the command by its own
process group, PostgreSQL by the id in its postmaster.pid, after a look at its command line.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from citybrain.store.embedded_process import is_running

COMMAND = str(Path(sys.executable).with_name("citybrain"))
READY_S, SETTLED_S, COMMAND_S = 90.0, 120.0, 120.0
SUMS = ("stored", "repeated", "conflicts", "dead")
Found = TypeVar("Found")
Events = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Answer:
    """One answer; numbers with a point are exact."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str

    def ok(self) -> Ran:
        assert self.code == 0, self.err or self.out
        return self

    @property
    def complaint(self) -> list[str]:
        """Lines of standard error that are not of the log."""
        return [line for line in self.err.splitlines() if line.strip() and not line.startswith("{")]


def eventually(look: Callable[[], Found], limit_s: float = 20, pause_s: float = 0.05) -> Found:
    """The first true result of `look`; its last one, whatever it is, when the limit has passed."""
    end = time.monotonic() + limit_s
    while not (found := look()) and time.monotonic() < end:
        time.sleep(pause_s)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def run(*arguments: str | Path, cwd: Path, environment: Mapping[str, str] | None = None, command: str = COMMAND) -> Ran:
    """Run a command of citybrain to its end."""
    done = subprocess.run(
        [command, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=clean_environment() | dict(environment or {}),
        cwd=cwd,
        timeout=COMMAND_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CITYBRAIN_")}


class City:
    """One embedded city: its folders below `root`, its process, and an HTTP client with the admin key."""

    def __init__(self, root: Path, profile: Path | None = None, command: str = COMMAND, **settings: str) -> None:
        self.root, self.data, self.profile, self.command = root, root / "data", profile, command
        self.key = "admin-" + secrets.token_hex(16)
        self.port = free_port()
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> City:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        profile = {} if self.profile is None else {"CITYBRAIN_CITY": str(self.profile)}
        return {"CITYBRAIN_ADMIN_KEY": self.key} | profile | self.settings

    @property
    def arguments(self) -> list[str]:
        """What its process is started with."""
        return ["up", "--data", str(self.data), "--port", str(self.port)]

    # ---- its process -------------------------------------------------------------------------------------------------

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it, without waiting for anything."""
        with (self.root / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [self.command, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment() | self.environment,
                cwd=self.root,
                start_new_session=True,
            )
        return self.process

    def start(self) -> None:
        """Start it on the same folder and port, and wait until it is ready."""
        process = self.launch()
        assert eventually(lambda: process.poll() is not None or self.is_ready(), READY_S), self.log[-2000:]
        assert process.poll() is None, self.log[-2000:]

    def is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self.send("GET", "/readyz", key="", timeout_s=5).status == 200
        return False

    def stop(self) -> tuple[int, float]:
        """SIGTERM: the exit code, and the seconds that it took."""
        process, begun = self._running(), time.monotonic()
        process.terminate()
        code = process.wait(30)
        self.process = None
        return code, time.monotonic() - begun

    def kill(self, *, database: bool = False) -> None:
        """SIGKILL for the command, and for its PostgreSQL where that is asked for, which lives in a group of its own."""
        process = self._running()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        self.process = None
        if database:
            self.kill_database()

    def kill_database(self) -> None:
        """SIGKILL for PostgreSQL's main process; the others notice and end."""
        recorded = self.data / "postgres" / "postmaster.pid"
        number = int(recorded.read_text().split()[0]) if recorded.exists() else 0
        if is_running(number, self.data.resolve() / "postgres"):
            os.kill(number, signal.SIGKILL)
            assert eventually(lambda: not is_running(number, self.data.resolve() / "postgres"))

    def remove(self) -> None:
        """End what was started, as a power cut would if it does not listen."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
        self.kill_database()

    def wait_for_log(self, event: str) -> bool:
        """Whether the log tells of an event soon."""
        return eventually(lambda: f'"event": "{event}"' in self.log)

    @property
    def log(self) -> str:
        return (self.root / "log.txt").read_text("utf-8", "replace")

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process

    # ---- asking it ---------------------------------------------------------------------------------------------------

    def run(self, *arguments: str | Path) -> Ran:
        """Run a command with the city's environment."""
        return run(*arguments, cwd=self.root, environment=self.environment, command=self.command)

    def on_data(self, *arguments: str | Path) -> Ran:
        """Run a command about this city."""
        return self.run(*arguments, "--data", self.data)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        timeout_s: float = 30,
    ) -> Answer:
        """One request on a connection of its own; `key` in place of the admin's, empty for none."""
        used = self.key if key is None else key
        sent = ({"Authorization": f"Bearer {used}"} if used else {}) | dict(headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            endless = answer.headers.get_content_type() == "text/event-stream"  # its head is its answer
            return Answer(answer.status, answer.headers, b"" if endless else answer.read())
        finally:
            connection.close()

    def get(self, path: str, *, key: str | None = None, **query: object) -> Answer:
        asked = {name.rstrip("_"): str(value) for name, value in query.items() if value is not None}
        return self.send("GET", f"{path}?{urlencode(asked)}" if asked else path, key=key)

    def items(self, path: str, **query: object) -> list[Any]:
        """All items of a list, page by page."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, **query).json
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                return found

    def points(self, metric: str, area: str, span: tuple[str, str], step: str, subject: str | None = None) -> list[Any]:
        """All points of a series, page by page."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            asked = {"metric": metric, "area": area, "from": span[0], "to": span[1], "step": step, "subject": subject}
            answer = self.get("/v1/series", **asked, cursor=cursor)
            assert answer.status == 200, answer.body
            found += answer.json["points"]
            cursor = answer.json["next"]
            if cursor is None:
                return found

    def post(self, events: Events | Mapping[str, Any], *, key: str | None = None) -> Answer:
        """Post one event or an array of them, once."""
        return self.send("POST", "/v1/events", json.dumps(events).encode(), {"Content-Type": "application/json"}, key=key)

    def post_until_answered(self, events: Events | Mapping[str, Any], limit_s: float = 90) -> Answer:
        """Post as a field app should: again after 429, 503 and a broken connection."""
        end = time.monotonic() + limit_s
        while True:
            with suppress(OSError, http.client.HTTPException):
                answer = self.post(events)
                if answer.status not in {429, 503}:
                    return answer
            assert time.monotonic() < end, f"no answer within {limit_s} s"
            time.sleep(0.1)

    def status(self) -> dict[str, Any]:
        answer = self.get("/v1/status")
        assert answer.status == 200, answer.body
        return dict(answer.json)

    def settled(self, at_least: int = 0) -> dict[str, Any]:
        """The status once nothing is left to do; fails when that takes too long, or the sums are wrong."""

        def look() -> dict[str, Any] | None:
            found = self.status()
            done = found["accepted"] >= at_least and all(role["lag"] == 0 for role in found["roles"].values())
            return found if done else None

        status = eventually(look, SETTLED_S)
        assert status, self.status()
        assert status["accepted"] == sum(status[name] for name in SUMS), status
        return status

    def figures(self) -> tuple[int, ...]:
        """Accepted, stored, repeated, conflicts, dead, once nothing is left to do."""
        status = self.settled()
        return tuple(status[name] for name in ("accepted", *SUMS))

    def dump(self) -> str:
        """`state dump`."""
        return self.on_data("state", "dump").ok().out
