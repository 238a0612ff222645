"""A team's server for the tests: real sockets on 127.0.0.1, paths that behave as told, and everything that arrived."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True)
class Hook:
    """One request that arrived; `at` is of the monotonic clock."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True)
class Behaviour:
    """How a path answers, `times` times, and then with a plain 200."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"errcode":0,"code":0}'
    delay_s: float = 0.0
    reset: bool = False
    endless: bool = False
    times: int | None = None


class Receiver:
    """`hooks` is what arrived, `told` how paths behave."""

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        self.told: dict[str, Behaviour] = {}
        self.port = 0
        self._taken: Counter[str] = Counter()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Hook]:
        return [hook for hook in self.hooks if hook.path == path]

    async def take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.hooks.append(Hook(request.path, headers, await request.read(), time.monotonic()))
        self._taken[request.path] += 1
        how = self.told.get(request.path, Behaviour())
        if how.times is not None and self._taken[request.path] > how.times:
            how = Behaviour()
        return await self.behave(request, how)

    async def behave(self, request: web.Request, how: Behaviour) -> web.StreamResponse:
        if how.delay_s:
            await asyncio.sleep(how.delay_s)
        if how.reset and request.transport is not None:
            request.transport.abort()
        if how.endless:
            return await self._pour(request)
        return web.Response(status=how.status, headers=how.headers, body=how.body)

    async def _pour(self, request: web.Request) -> web.StreamResponse:
        """100 MB, as fast as they are taken."""
        response = web.StreamResponse(headers={"Content-Length": str(100 * 2**20)})
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            for _ in range(1600):
                await response.write(b"x" * 65536)
        return response


@asynccontextmanager
async def receiver(port: int = 0) -> AsyncIterator[Receiver]:
    """Listens until the end of the block."""
    made = Receiver()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()


async def eventually(done: Callable[[], object], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not done():
            await asyncio.sleep(0.01)
