"""Processes of their own for tests of deliver: the role as it runs in a cluster, and a receiver that notes what arrives.

`python deliver_processes.py role DSN OWNER` or `… receiver FILE`: the receiver prints its port, and writes a line for each
webhook: path, webhook-id and the time of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import uvloop
from aiohttp import web

from citybrain.deliver.worker import Deliverer
from citybrain.store.pool import open_pool
from citybrain.telemetry import Metrics
from delivering import LOOPBACK
from receivers import Behaviour, Receiver

BAD = {
    "never": Behaviour(delay_s=3600), "error": Behaviour(500), "slow": Behaviour(delay_s=20), "reset": Behaviour(reset=True),
    "huge": Behaviour(endless=True), "away": Behaviour(302, {"Location": "http://169.254.169.254/latest/meta-data/"}),
}  # fmt: skip


@contextmanager
def role(dsn: str, owner: UUID) -> Iterator[subprocess.Popen[bytes]]:
    """The role; killed at the end of the block, unless it is dead already."""
    process = subprocess.Popen([sys.executable, __file__, "role", dsn, str(owner)])
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def receiving(folder: Path) -> Iterator[tuple[int, Path]]:
    """A receiver: its port, and the file of what arrived."""
    folder.mkdir(exist_ok=True)
    noted = folder / "arrived.txt"
    process = subprocess.Popen([sys.executable, __file__, "receiver", str(noted)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), noted
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


async def _role(dsn: str, owner: str) -> None:
    async with open_pool(dsn, max_size=4) as pool:
        task = asyncio.create_task(Deliverer(pool, LOOPBACK, Metrics(), lambda: datetime.now(UTC), UUID(owner)).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task


class _Noting(Receiver):
    """Writes down what arrives in place of keeping it."""

    def __init__(self, noted: Path) -> None:
        super().__init__()
        self._file = noted.open("a", buffering=1)

    async def take(self, request: web.Request) -> web.StreamResponse:
        at = time.monotonic()
        self._file.write(f"{request.path} {request.headers['webhook-id']} {at}\n")
        return await self.behave(request, BAD.get(request.path[1:].rstrip("0123456789"), Behaviour()))


async def _receiver(noted: Path) -> None:
    team = _Noting(noted)
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", team.take)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    # What is poured out and never read should cost this machine little: other teams' servers have processors of their own.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
    await web.SockSite(runner, listening, backlog=1024).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_role(*sys.argv[2:]) if sys.argv[1] == "role" else _receiver(Path(sys.argv[2])))
