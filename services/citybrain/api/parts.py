"""What the routes work with. Made by runner, handed to `create_api`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fastapi import Request

from citybrain.access import Access, Principal, Role
from citybrain.bus.port import Bus
from citybrain.city import City
from citybrain.endpoints.addresses import Policy
from citybrain.store.pool import Pool
from citybrain.telemetry import Metrics


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ApiParts:
    """`city` gives the profile of now, `mode` is embedded or cluster, `clock` the time of now in UTC, `policy` says where
    webhooks may go, `public_url` where people reach this city: links begin with it,
    `draining` whether the process is about to stop."""

    pool: Pool
    bus: Bus
    city: Callable[[], City]
    access: Access
    version: str
    mode: str
    clock: Callable[[], datetime] = _now
    policy: Policy = field(default_factory=Policy)
    public_url: str = ""
    draining: Callable[[], bool] = lambda: False
    metrics: Metrics = field(default_factory=Metrics)

    async def reader(self, request: Request) -> Principal:
        """Who asks, when it may read. Raises Unauthenticated, Forbidden."""
        return (await self.access.authenticate(request.headers.get("authorization"))).must_be(Role.VIEWER)

    async def operator(self, request: Request) -> Principal:
        """Who asks, when it may handle alerts and send again. Raises Unauthenticated, Forbidden."""
        return (await self.access.authenticate(request.headers.get("authorization"))).must_be(Role.OPERATOR)

    async def admin(self, request: Request) -> Principal:
        """Who asks, when it may do everything. Raises Unauthenticated, Forbidden."""
        return (await self.access.authenticate(request.headers.get("authorization"))).must_be(Role.ADMIN)
