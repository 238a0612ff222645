"""Endpoints and deliveries in a real database, and a Deliverer over them, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

from citybrain.deliver.worker import Deliverer
from citybrain.endpoints import manage
from citybrain.endpoints.addresses import Policy
from citybrain.endpoints.manage import Wish
from citybrain.store.pool import Pool, open_pool
from citybrain.telemetry import Metrics

LOOPBACK = Policy((ip_network("127.0.0.0/8"),), plain_http=True)
BODY = b'{"type":"endpoint.test","timestamp":"2026-11-23T00:15:02.000000Z","data":{"endpoint":"x"}}'
_PUT = """
insert into delivery (delivery_id, webhook_id, endpoint_id, type, body, made_at, next_attempt_at)
select gen_random_uuid(), 'msg_' || gen_random_uuid(), e, 'endpoint.test', $2, clock_timestamp(), clock_timestamp()
  from unnest($1::uuid[]) as f(e), generate_series(1, $3::integer)
returning delivery_id, webhook_id, endpoint_id
"""


@dataclass
class Delivering:
    """`deliverer` is not running; `step` drives it."""

    pool: Pool
    deliverer: Deliverer

    async def endpoint(self, url: str, name: str | None = None, **wish: Any) -> UUID:
        async with self.pool.acquire() as connection:
            made = Wish(name or f"endpoint {uuid4().hex}", url, **wish)
            row, _ = await manage.create(connection, made, "test", LOOPBACK)
        return row.endpoint_id

    async def put(self, *endpoints: UUID, count: int = 1, body: bytes = BODY) -> list[tuple[UUID, str, UUID]]:
        """Deliveries to each endpoint, due now: (id, webhook-id, endpoint)."""
        return [tuple(row) for row in await self.pool.fetch(_PUT, endpoints, body, count)]

    async def due_now(self) -> None:
        await self.pool.execute("update delivery set next_attempt_at = now() where state = 'waiting'")

    async def rows(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.pool.fetch("select * from delivery order by made_at, delivery_id")]

    async def row(self, delivery_id: UUID) -> dict[str, Any]:
        return next(row for row in await self.rows() if row["delivery_id"] == delivery_id)

    async def attempts(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.pool.fetch("select * from attempt order by began_at, attempt")]

    def another(self, pool: Any = None, owner: UUID | None = None) -> Deliverer:
        return Deliverer(pool or self.pool, LOOPBACK, Metrics(), lambda: datetime.now(UTC), owner or uuid4())


@asynccontextmanager
async def delivering(dsn: str) -> AsyncIterator[Delivering]:
    async with open_pool(dsn, max_size=6) as pool:
        yield Delivering(pool, Deliverer(pool, LOOPBACK, Metrics(), lambda: datetime.now(UTC)))
