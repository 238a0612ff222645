"""The duty desks of the demo: an HTTP server on 127.0.0.1 that takes webhooks whose signature is right. Called by play.

It verifies as a receiver of Standard Webhooks does, with what its owner has: the secret, the three headers, the raw body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from citybrain.endpoints.secret import key_of, new_secret

PATH = "/demo/"
MOST_BYTES = 2 * 1024 * 1024
TOLERANCE_S = 300
REMEMBERED = 10_000


def genuine(headers: Mapping[str, str], body: bytes, key: bytes, now: datetime) -> bool:
    """Whether whoever knows the key has signed this id, time and body, and not long ago."""
    webhook_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 16) or abs(int(sent) - now.timestamp()) > TOLERANCE_S:
        return False
    digest = hmac.digest(key, f"{webhook_id}.{sent}.".encode() + body, hashlib.sha256)
    right = b"v1," + base64.b64encode(digest)
    return any(hmac.compare_digest(one.encode(), right) for one in headers.get("webhook-signature", "").split())


@dataclass(slots=True)
class Receiver:
    """`page` is called with each new webhook and the endpoint that it is for; `refused` when a signature is wrong."""

    page: Callable[[Mapping[str, Any], str], None]
    refused: Callable[[], None]
    port: int = 0
    secret: str = field(default_factory=new_secret, repr=False)
    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _paged: set[tuple[str, str]] = field(default_factory=set)

    def url(self, endpoint: str) -> str:
        """Where an endpoint's webhooks go."""
        return f"http://127.0.0.1:{self.port}{PATH}{quote(endpoint, safe='')}"

    def has_paged(self, rule: str, subject: str) -> bool:
        """Whether an alert was told to begin."""
        return (rule, subject) in self._paged

    async def take(self, request: web.Request) -> web.Response:
        """One request: 401 when its signature is wrong, 204 when it is taken, also when it is a repeat."""
        body = await request.read()
        if not genuine(request.headers, body, key_of(self.secret), datetime.now(UTC)):
            self.refused()
            return web.Response(status=401, text="the signature is wrong")
        webhook_id = request.headers["webhook-id"]
        if webhook_id not in self._seen:
            self._seen[webhook_id] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            self._tell(json.loads(body), request.match_info["endpoint"])
        return web.Response(status=204)

    def _tell(self, webhook: Mapping[str, Any], endpoint: str) -> None:
        if webhook["type"] == "alert.firing":
            self._paged |= {(one["rule"], one["subject"]) for one in webhook["data"]["alerts"] if one["subject"]}
        self.page(webhook, endpoint)


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[None]:
    """The receiver on a free port of 127.0.0.1."""
    app = web.Application(client_max_size=MOST_BYTES)
    app.router.add_post(PATH + "{endpoint}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.port = int(runner.addresses[0][1])
        yield
    finally:
        await runner.cleanup()
