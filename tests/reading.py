"""The reading API over a real pipeline, asked over HTTP, for tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiohttp
import uvicorn
from fastapi import FastAPI

from citybrain.access import Access, Role
from citybrain.access.keys import KeyWish, create_key
from citybrain.aggregate.modes import metric_rows
from citybrain.api import ApiParts, create_api
from citybrain.city import City
from citybrain.store.dictionary import put_metrics
from citybrain.store.keys import KeyStore
from citybrain.web import WebParts, create_app
from pipeline import Pipeline, pipeline


@dataclass
class Answer:
    """Status, headers and body; decimals are exact."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)


@dataclass
class Reading:
    """A pipeline and an HTTP client of the API that reads what it wrote."""

    pipeline: Pipeline
    city: City
    session: aiohttp.ClientSession
    address: str
    keys: dict[Role, str]

    async def get(
        self, path: str, role: Role | None = Role.VIEWER, headers: dict[str, str] | None = None, **query: object
    ) -> Answer:
        """`from_` stands for `from`; None is left out."""
        asked = {name.rstrip("_"): _text(value) for name, value in query.items() if value is not None}
        sent = {"Authorization": f"Bearer {self.keys[role]}"} if role is not None else {}
        async with self.session.get(self.address + path, params=asked, headers=sent | (headers or {})) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())

    async def every(self, path: str, **query: object) -> list[Any]:
        """The items of all pages."""
        found: list[Any] = []
        cursor = None
        while True:
            answer = await self.get(path, cursor=cursor, **query)
            assert answer.status == 200, answer.body
            found += answer.json["items"]
            cursor = answer.json["next"]
            if cursor is None:
                return found

    async def points(self, metric: str, area: str, step: str, span: tuple[datetime, datetime], **query: object) -> list[Any]:
        """The points of all pages."""
        found: list[Any] = []
        cursor = None
        while True:
            answer = await self.get(
                "/v1/series", metric=metric, area=area, step=step, from_=span[0], to=span[1], cursor=cursor, **query
            )
            assert answer.status == 200, answer.body
            found += answer.json["points"]
            cursor = answer.json["next"]
            if cursor is None:
                return found


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


@asynccontextmanager
async def reading(dsn: str, city: City, now: datetime | None = None) -> AsyncIterator[Reading]:
    """The API on a port of its own, with a key of each role."""
    async with pipeline(dsn, city) as behind:
        await put_metrics(behind.pool, metric_rows())
        store = KeyStore(behind.pool)
        await behind.pool.execute("delete from api_key where name like 'test %'")  # of one that was opened before
        keys = {role: (await create_key(store, KeyWish(f"test {role}", role), datetime.now(UTC))).key for role in Role}
        parts = ApiParts(
            behind.pool,
            behind.bus,
            lambda: city,
            Access(store),
            "0.0.0",
            "embedded",
            lambda: now or datetime.now(UTC),
            metrics=behind.worker.metrics,
        )
        app = create_app(WebParts("0.0.0", behind.worker.metrics, lambda: None, parts.reader, [create_api(parts)]))
        async with _served(app) as address, aiohttp.ClientSession() as session:
            yield Reading(behind, city, session, address, keys)


@asynccontextmanager
async def _served(app: FastAPI) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none", lifespan="off"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
