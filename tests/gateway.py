"""One address before a cluster, as a city's reverse proxy gives it: posts of events go to ingest, everything else to api."""

from __future__ import annotations

import asyncio
import threading
from io import BytesIO
from typing import Self

import aiohttp
from aiohttp import web

KEPT = frozenset({"authorization", "content-type", "content-encoding", "accept"})
LARGEST = 128 * 1024 * 1024


class Gateway:
    """A thread of its own that passes requests on, whole."""

    def __init__(self, port: int, ingest: str, api: str) -> None:
        self._port, self._ingest, self._api = port, ingest, api
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(10)
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _begin(self) -> None:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=LARGEST)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def _end(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.Response:
        to = self._ingest if (request.method, request.path) == ("POST", "/v1/events") else self._api
        headers = {name: value for name, value in request.headers.items() if name.lower() in KEPT}
        try:
            asked = self._session.request(
                request.method, to + request.path_qs, data=BytesIO(await request.read()), headers=headers
            )
            async with asked as answer:
                said = {name: value for name, value in answer.headers.items() if name.lower() in {"content-type", "retry-after"}}
                return web.Response(status=answer.status, headers=said, body=await answer.read())
        except aiohttp.ClientError as error:
            raise web.HTTPBadGateway from error
