"""A city of one route and one figure page, for tests of what posts events: real sockets, answers that a test can change.

It keeps every event it has accepted, in the order of arrival, and counts identities it has seen before as repeated.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

KEY = "stub-key-stub-key-stub-key"
Trouble = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


class StubCity:
    """`trouble` may answer in place of the city (or break the connection); `kept` is what was accepted."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self.posts = 0
        self.repeated = 0
        self.trouble: Trouble | None = None
        self.url = ""
        self.receivers: list[dict[str, Any]] = []
        self._seen: set[tuple[str, str]] = set()

    @property
    def ids(self) -> set[str]:
        return {event["id"] for event in self.kept}

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.posts += 1
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"title": "Unauthorized", "detail": "unknown key"}, status=401)
        body = await request.read()
        if self.trouble and (answer := await self.trouble(request)) is not None:
            return answer
        rejected = []
        lines = [line for line in body.split(b"\n") if line.strip()]
        for index, line in enumerate(lines):
            problem = self._judge(line)
            if problem:
                rejected.append({"index": index, **problem})
        status = 202 if not rejected else 422 if len(rejected) == len(lines) else 207
        return web.json_response({"accepted": len(lines) - len(rejected), "rejected": rejected}, status=status)

    def _judge(self, line: bytes) -> dict[str, str] | None:
        try:
            event = json.loads(line)
        except ValueError:
            return {"code": "not_json", "detail": "not JSON"}
        if event["data"].get("occupied", 0) < 0:
            return {"id": event["id"], "code": "invalid_field", "field": "data.occupied", "detail": "below zero"}
        identity = (event["source"], event["id"])
        self.repeated += identity in self._seen
        self._seen.add(identity)
        self.kept.append(event)
        return None

    async def status(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"title": "Unauthorized"}, status=401)
        figures = {"accepted": len(self.kept), "stored": len(self._seen), "repeated": self.repeated, "conflicts": 0}
        return web.json_response({**figures, "roles": {"aggregate": {"lag": 0}}})

    async def areas(self, _: web.Request) -> web.Response:
        grids = [{"code": f"61060000100100{n}", "level": "grid"} for n in range(5)]
        return web.json_response({"items": [{"code": "610600", "level": "city"}, *grids], "next": None})

    async def outlines(self, _: web.Request) -> web.Response:
        ring = [[109.0, 37.0], [109.1, 37.0], [109.1, 37.1], [109.0, 37.1], [109.0, 37.0]]
        shape = {"type": "Polygon", "coordinates": [ring]}
        grids = [{"properties": {"code": f"61060000100100{n}", "level": "grid"}, "geometry": shape} for n in range(5)]
        return web.json_response({"type": "FeatureCollection", "features": grids})

    async def assets(self, _: web.Request) -> web.Response:
        last = {event["subject"]: event["time"] for event in self.kept if "subject" in event}
        return web.json_response(
            {"items": [{"subject": one, "area": "6106", "last_seen": at} for one, at in last.items()], "next": None}
        )

    async def endpoints(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"title": "Unauthorized"}, status=401)
        if request.method == "POST":
            self.receivers.append({"id": str(len(self.receivers)), "made_by": "api", **await request.json()})
            return web.json_response(self.receivers[-1], status=201)
        return web.json_response({"items": self.receivers, "next": None})

    async def change_endpoint(self, request: web.Request) -> web.Response:
        one = self.receivers[int(request.match_info["id"])]
        one |= await request.json()
        return web.json_response(one)

    async def series(self, request: web.Request) -> web.Response:
        return web.json_response({"points": [{"start": request.query["from"], "value": 0.5}]})


@asynccontextmanager
async def stub_city(port: int = 0) -> AsyncIterator[StubCity]:
    city = StubCity()
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/v1/events", city.take)
    app.router.add_get("/v1/status", city.status)
    for path, answer in (
        ("areas", city.areas),
        ("areas.geojson", city.outlines),
        ("assets", city.assets),
        ("series", city.series),
    ):
        app.router.add_get(f"/v1/{path}", answer)
    app.router.add_get("/v1/endpoints", city.endpoints)
    app.router.add_post("/v1/endpoints", city.endpoints)
    app.router.add_patch("/v1/endpoints/{id}", city.change_endpoint)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    city.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield city
    finally:
        await runner.cleanup()


async def eventually(done: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not done():
            await asyncio.sleep(0.01)
