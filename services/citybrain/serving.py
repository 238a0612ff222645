"""The HTTP server and what /readyz says. Used by runner alone: a listening socket first, so that a taken port is told at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.types import ASGIApp

from citybrain.errors import CitybrainError
from citybrain.store.pool import DatabaseUnavailable, Pool, translated

FINISH_S = 3
LOOK_S = 0.5
KEEP_ALIVE_S = 75
MAX_CONNECTIONS = 1000


class PortUnusable(CitybrainError):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket."""

    socket: socket.socket
    host: str

    @property
    def url(self) -> str:
        """Where it is reached."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.socket.getsockname()[1]}"


@contextmanager
def listen(host: str, port: int) -> Iterator[Listener]:
    """Listen before anything else is started. Raises PortUnusable."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise PortUnusable(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    with listening:
        yield Listener(listening, host)


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: runner decides when to stop."""

    def __init__(self, app: ASGIApp, listener: Listener) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_config=None, access_log=False, timeout_graceful_shutdown=FINISH_S, timeout_keep_alive=KEEP_ALIVE_S,
                lifespan="off", server_header=False,
                proxy_headers=False, limit_concurrency=MAX_CONNECTIONS,
            )
        )  # fmt: skip
        self._listener = listener

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of them."""
        yield

    async def run(self) -> None:  # type: ignore[override]  # the sync one is never used here
        """Serve until `stop`; requests that have begun get FINISH_S seconds."""
        await self.serve([self._listener.socket])

    def stop(self) -> None:
        """Take no more connections."""
        self.should_exit = True


@dataclass(slots=True)
class Readiness:
    """Ready means: the first heartbeat is on the bus, the database answers, and nobody asked us to stop."""

    beating: asyncio.Event = field(default_factory=asyncio.Event)
    database: bool = True
    draining: bool = False

    def is_draining(self) -> bool:
        """Whether new posts have to be sent elsewhere."""
        return self.draining

    def why_not(self) -> str | None:
        """Why the process cannot serve; None when it can."""
        if self.draining:
            return "the city is stopping"
        if not self.beating.is_set():
            return "no heartbeat is on the bus yet"
        return None if self.database else "the database does not answer"

    async def watch(self, pool: Pool) -> None:
        """Ask the database now and then, until cancelled."""
        while True:
            try:
                with translated():
                    async with asyncio.timeout(2):
                        await pool.fetchval("select 1")
            except DatabaseUnavailable:
                self.database = False
            else:
                self.database = True
            await asyncio.sleep(LOOK_S)
