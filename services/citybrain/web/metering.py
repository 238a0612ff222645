"""Count and time every request. Wraps the application; plain ASGI, so a streamed body or answer passes untouched.

The label is the route's template, never the path asked for: labels stay few whatever strangers ask.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from citybrain.telemetry import Metrics

_STATUS_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metered:
    """An ASGI application around another. `templates` names the routes that FastAPI does not put into the scope."""

    def __init__(self, app: ASGIApp, metrics: Metrics, templates: Mapping[object, str]) -> None:
        self._templates = templates
        self._app = app
        self._requests = cache(metrics.http_requests.labels)  # few: a route, a method, a class of status each
        self._seconds = cache(metrics.http_seconds.labels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        begun = time.monotonic()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", None) or self._templates.get(scope.get("endpoint"), "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._requests(method, route, _STATUS_CLASSES[status // 100]).inc()
            self._seconds(route).observe(time.monotonic() - begun)
