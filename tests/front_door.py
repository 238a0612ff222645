"""A real front door for the tests: keys, city and bus over a real database, served by uvicorn on 127.0.0.1."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from typing import Any

import asyncpg
import uvicorn
from fastapi import APIRouter, FastAPI, Request

from citybrain.access import Access, Role
from citybrain.access.keys import KeyWish, create_key
from citybrain.bus.port import Record
from citybrain.bus.postgres import PostgresBus, open_postgres_bus
from citybrain.city import City
from citybrain.ingest import IngestParts, create_ingest
from citybrain.store.keys import KeyStore
from citybrain.store.pool import open_pool
from citybrain.telemetry import Metrics
from citybrain.web import WebParts, create_app
from citybrain_schemas.topics import EVENTS_TOPIC

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FrontDoor:
    """Speaks plain HTTP to one served application."""

    port: int
    keys: KeyStore
    bus: PostgresBus
    metrics: Metrics
    key: str = ""
    stopping: list[bool] = field(default_factory=lambda: [False])

    async def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, key: str | None = None
    ) -> Answer:
        """One request on a connection of its own; `key` in place of the admin's, empty for none."""
        used = self.key if key is None else key
        sent = ({"Authorization": f"Bearer {used}"} if used else {}) | dict(headers or {})
        return await asyncio.to_thread(self._send, method, path, body, sent)

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    async def post(self, body: bytes | object, headers: Mapping[str, str] | None = None, key: str | None = None) -> Answer:
        """POST /v1/events, as JSON unless the headers say otherwise."""
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        return await self.send("POST", "/v1/events", content, JSON if headers is None else headers, key)

    async def new_key(self, role: Role, source_prefix: str | None = None) -> str:
        wish = KeyWish(f"key {datetime.now(UTC).timestamp()}", role, source_prefix)
        return (await create_key(self.keys, wish, datetime.now(UTC))).key

    async def records(self) -> list[Record]:
        """Everything on the topic."""
        positions = dict.fromkeys(range(await self.bus.partitions(EVENTS_TOPIC)), 0)
        batches = await self.bus.fetch(EVENTS_TOPIC, positions, 100_000)
        return [Record(*one) for batch in batches for one in zip(batch.keys, batch.types, batch.values, strict=True)]

    async def events(self) -> list[dict[str, Any]]:
        return [json.loads(record.value) for record in await self.records() if record.type != "heartbeat"]


@asynccontextmanager
async def front_door(dsn: str, city: City) -> AsyncIterator[FrontDoor]:
    """Served until the end of the block, with a key of role admin."""
    metrics = Metrics()
    async with open_pool(dsn) as pool, open_postgres_bus(pool, metrics, partitions=4) as bus:
        access = Access(KeyStore(pool))
        door = FrontDoor(0, KeyStore(pool), bus, metrics)
        ingest = create_ingest(
            IngestParts(bus, lambda: city, access, metrics, lambda: datetime.now(UTC), lambda: door.stopping[0])
        )

        async def may_read(request: Request) -> object:
            return (await access.authenticate(request.headers.get("authorization"))).must_be(Role.VIEWER)

        router = APIRouter()

        @router.get("/boom")
        async def boom() -> None:
            raise asyncpg.PostgresSyntaxError("select wrong")

        app = create_app(WebParts("test", metrics, lambda: None, may_read, [router], [ingest]))
        door.key = await door.new_key(Role.ADMIN)
        async with _served(app) as door.port:
            yield door


@asynccontextmanager
async def _served(app: FastAPI) -> AsyncIterator[int]:
    config = uvicorn.Config(app, lifespan="off", log_level="critical", timeout_graceful_shutdown=2, ws="none")
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        await serving
