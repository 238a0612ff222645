"""The HTTP server and what /readyz says. Used by runner and vitals.

A listening socket comes first, so that a taken port is told at once. Nothing here knows a role.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.types import ASGIApp

from citybrain.errors import CitybrainError
from citybrain.loops import Pulses

FINISH_S = 3
LOOK_S = 0.05
SILENT_S = 10.0  # of the database: a process under load may wait for a connection, and an embedded one is restarted within
NO_HEARTBEAT_S = 30.0  # six were missed
KEEP_ALIVE_S = 75
MAX_CONNECTIONS = 1000


Need = Callable[[], str | None]
Socket = socket.socket


class PortUnusable(CitybrainError):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket, and one for metrics where there is a port for them."""

    socket: Socket
    host: str
    metrics: Socket | None = None

    @property
    def url(self) -> str:
        """Where it is reached."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.socket.getsockname()[1]}"


@contextmanager
def listen(host: str, port: int, metrics_port: int | None = None) -> Iterator[Listener]:
    """Listen before anything else is started, for metrics on the same address. Raises PortUnusable."""
    with ExitStack() as stack:
        listening = stack.enter_context(_bound(host, port))
        for_metrics = (
            None if metrics_port is None else stack.enter_context(_bound(host, metrics_port, "CITYBRAIN_METRICS_PORT: "))
        )
        yield Listener(listening, host, for_metrics)


def _bound(host: str, port: int, what: str = "") -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise PortUnusable(f"{what}cannot listen on {host} port {port}: {error.strerror or error}") from error


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: runner decides when to stop."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_config=None, access_log=False, timeout_graceful_shutdown=FINISH_S, timeout_keep_alive=KEEP_ALIVE_S,
                lifespan="off", server_header=False,
                proxy_headers=False, limit_concurrency=MAX_CONNECTIONS,
            )
        )  # fmt: skip
        self._listening = listening

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of them."""
        yield

    async def run(self) -> None:  # type: ignore[override]  # the sync one is never used here
        """Serve until `stop`; requests that have begun get FINISH_S seconds."""
        await self.serve([self._listening])

    def stop(self) -> None:
        """Take no more connections."""
        self.should_exit = True


@dataclass(slots=True)
class Readiness:
    """Ready means: the process can do its work now, and nobody asked it to stop.

    Each role says what it `needs`. What no restart and no other process would mend is not among the needs of roles that take no
    requests: /metrics tells of it.
    """

    draining: bool = False
    lacks: Sequence[str] = ()  # migrations that the database does not have
    _answered_at: float | None = None  # the database; of the monotonic clock
    _needs: list[Need] = field(default_factory=list)

    def is_draining(self) -> bool:
        """Whether new posts have to be sent elsewhere."""
        return self.draining

    def needs(self, *needs: Need) -> None:
        """Add what a role of this process needs: each says why it is not there, or None."""
        self._needs += needs

    def why_not(self) -> str | None:
        """Why the process cannot serve, all reasons; None when it can."""
        if self.draining:
            return "the city is stopping"
        return "; ".join(dict.fromkeys(reason for need in self._needs if (reason := need()) is not None)) or None

    def database_answered(self) -> None:
        """It did just now."""
        self._answered_at = time.monotonic()

    def database(self) -> str | None:
        """A need: the database answers, and has this version's tables. One answer that is late is no outage."""
        if self._answered_at is None:
            return "the database has not answered yet"
        if (silent_s := time.monotonic() - self._answered_at) > SILENT_S:
            return f"the database has not answered for {silent_s:.0f} s"
        return f"the database lacks {', '.join(self.lacks)}: run `citybrain migrate`" if self.lacks else None

    async def reached(self) -> None:
        """Wait until ready for the first time."""
        while self.why_not() is not None:  # noqa: ASYNC110 - needs are asked, they tell nobody
            await asyncio.sleep(LOOK_S)


def beating(pulses: Pulses) -> Need:
    """A need: heartbeats reach the bus, so events do, too."""

    def need() -> str | None:
        ago_s = pulses.well_ago_s("heartbeat")
        if ago_s is None:
            return "no heartbeat is on the bus yet"
        return None if ago_s < NO_HEARTBEAT_S else f"no heartbeat has reached the bus for {ago_s:.0f} s"

    return need


def working(pulses: Pulses, *names: str) -> Need:
    """A need: these loops work."""
    return lambda: "; ".join(pulses.why_not(names)) or None
