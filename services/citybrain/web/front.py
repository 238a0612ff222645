"""The way in: hot routes straight to their endpoints, everything else through FastAPI. Made by runner around the application.

FastAPI's own chain costs more than deciding and appending one event does; an endpoint that is plain ASGI and answers its own
errors needs none of it. Measured, not guessed: tests/bench/single_posts.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from citybrain.telemetry import Metrics
from citybrain.web.app import Described
from citybrain.web.metering import Metered
from citybrain.web.problem import on_anything_else


class Front:
    """An ASGI application. `described` names the routes that are plain ASGI; they are metered like all others."""

    def __init__(self, app: FastAPI, described: Iterable[Described], metrics: Metrics) -> None:
        routes = [route for one in described for route in one.routes if isinstance(route, Route)]
        self._app = app
        self._routes = {(method, route.path): route for route in routes for method in route.methods or ()}
        self._straight: ASGIApp = ServerErrorMiddleware(Metered(_to_route, metrics, {}), on_anything_else)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
        else:
            scope["route"] = route
            await self._straight(scope, receive, send)


async def _to_route(scope: Scope, receive: Receive, send: Send) -> None:
    await scope["route"].app(scope, receive, send)
