"""Make the HTTP application: routes of the roles, problem details, metrics, health, documentation. Called by runner and tests.

Nothing here knows a role; runner hands over their routers, and says whether the process is ready.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from citybrain import telemetry
from citybrain.web.bounded import Bounded
from citybrain.web.metering import Metered
from citybrain.web.problem import PROBLEM_SCHEMA, Problem, answers, install

_METRICS = "# HELP citybrain_role_lag Records or rows that a role could work on now.\n# TYPE citybrain_role_lag gauge\n"
Guard = Callable[[Request], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Described:
    """Routes that FastAPI does not describe by itself, and what its OpenAPI document should say of them."""

    routes: tuple[Route, ...]
    paths: Mapping[str, Any]
    schemas: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WebParts:
    """What an application is made of.

    `not_ready` gives the reason why the process cannot serve now, None when it can. `may_read` lets a request pass that
    carries a key of role viewer or more, and raises Unauthenticated or Forbidden for others.
    `examples` are answers by method and path.
    """

    version: str
    metrics: telemetry.Metrics
    not_ready: Callable[[], str | None]
    may_read: Guard
    routers: Iterable[APIRouter] = ()
    described: Iterable[Described] = field(default=())
    examples: Mapping[str, Any] = field(default_factory=dict)


def create_app(parts: WebParts) -> FastAPI:
    """The application."""
    app = FastAPIOffline(
        title="citybrain",
        version=parts.version,
        description="Events of a city in; one timeline of exact metrics out. Every request carries `Authorization: Bearer KEY`.",
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False},  # ours are Prometheus's, in telemetry.py
    )
    install(app)
    described = tuple(parts.described)
    templates: dict[object, str] = {route.endpoint: route.path for one in described for route in one.routes}
    app.add_middleware(
        Bounded, but={(method, route.path) for one in described for route in one.routes for method in route.methods or ()}
    )
    app.add_middleware(Metered, metrics=parts.metrics, templates=templates)
    for one in described:
        app.router.routes[:0] = one.routes  # looked at first: the busiest
    for router in parts.routers:
        app.include_router(router)
    app.include_router(_own_routes(parts))
    _describe(app, described, parts.examples)
    return app


def _own_routes(parts: WebParts) -> APIRouter:
    router = APIRouter(tags=["service"])

    @router.get("/healthz", summary="Whether the process answers")
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @router.get("/readyz", summary="Whether the process can do its work", responses=answers(503))
    async def readyz() -> JSONResponse:
        reason = parts.not_ready()
        if reason is not None:
            raise Problem(503, reason, {"Retry-After": "1"})
        return JSONResponse({"status": "ready"})

    @router.get(
        "/metrics",
        summary="Prometheus metrics; needs a key of role viewer or more, but for CITYBRAIN_METRICS_PORT",
        response_class=Response,
        responses=answers(401, 403, 503)
        | {200: {"description": "The text format", "content": {"text/plain": {"example": _METRICS}}}},
    )
    async def metrics(request: Request) -> Response:
        await parts.may_read(request)
        return _metrics_text(parts.metrics)

    return router


def metrics_app(metrics: telemetry.Metrics) -> Starlette:
    """What answers on CITYBRAIN_METRICS_PORT: /metrics, to whoever reaches it, and nothing else."""

    async def answer(_: Request) -> Response:
        return _metrics_text(metrics)

    return Starlette(routes=[Route("/metrics", answer)])


def _metrics_text(metrics: telemetry.Metrics) -> Response:
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _describe(app: FastAPI, described: tuple[Described, ...], examples: Mapping[str, Any]) -> None:
    """Add the hand-written parts, and the one way in, to the OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        components = document.setdefault("components", {})
        components.setdefault("securitySchemes", {})["key"] = {"type": "http", "scheme": "bearer"}
        document["security"] = [{"key": []}]
        for one in described:
            if twins := one.schemas.keys() & components.get("schemas", {}).keys():
                raise ValueError(f"two schemas have one name: {', '.join(sorted(twins))}")
            for path, operations in one.paths.items():
                document["paths"][path] = document["paths"].get(path, {}) | operations
            components["schemas"] = components.get("schemas", {}) | one.schemas
        for name, example in examples.items():
            method, _, path = name.partition(" ")
            for status, answer in document["paths"][path][method.lower()]["responses"].items():
                for content in answer.get("content", {}).values() if status < "300" else ():
                    content["example"] = example
        components["schemas"] = components.get("schemas", {}) | {"Problem": PROBLEM_SCHEMA}
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
