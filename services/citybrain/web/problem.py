"""Problem details (RFC 9457): the one place that turns errors into HTTP answers. Used by every route; decides nothing.

| error                      | status |
|----------------------------|--------|
| Problem                    | its own |
| Unauthenticated, Forbidden | 401 with WWW-Authenticate, 403 |
| BusFull                    | 429 with Retry-After |
| other retryable errors     | 503 with Retry-After |
| what FastAPI refuses       | 400 (body not JSON), 404, 405, 422 |
| everything else            | 500, logged by the server with its traceback |
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from citybrain.bus.port import BusFull
from citybrain.errors import CitybrainError, Forbidden, Unauthenticated

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
FULL_RETRY_AFTER_S = 1
_MAX_DETAIL_CHARS = 1000
_OUR_FAULT = "something went wrong on our side; it is in our log"
_log = logging.getLogger(__name__)


_REASONS = {
    304: "You have it already",
    400: "The body is not JSON",
    401: "No key, or one that is wrong, expired or revoked",
    403: "The key's role may not do this",
    404: "There is none",
    408: "The body did not arrive in time",
    409: "It cannot be done to this one",
    413: "The body is too large",
    422: "Something that was asked for is not valid; `errors` lists what",
    429: "Too much at once",
    503: "Not now: the database or the bus cannot be reached",
}
PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"field": {"type": "string"}, "detail": {"type": "string"}}},
        },
    },
    "example": {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no alert '4c1f'"},
}


def answers(*statuses: int, done: Mapping[int, type[BaseModel]] = MappingProxyType({})) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of answers: those that are a success and their forms, and others: problem details, or nothing (304)."""
    found: dict[int | str, dict[str, Any]] = {status: {"model": kind} for status, kind in done.items()}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return found | {one: {"description": _REASONS[one]} | ({"content": content} if one >= 400 else {}) for one in statuses}


class Problem(Exception):
    """An answer of 400 or above. `more` are further members of the object, such as `accepted`."""

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, more: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = dict(more or {})


def invalid(field: str, detail: str, status: int = 422) -> Problem:
    """Something that was asked for is not valid: says which field and why."""
    return Problem(status, f"{field}: {detail}", more={"errors": [{"field": field, "detail": detail}]})


def problem_response(problem: Problem) -> Response:
    """The answer; members of the standard win over `more`."""
    body = problem.more | {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail[:_MAX_DETAIL_CHARS],
    }
    return Response(msgspec.json.encode(body), problem.status, problem.headers, MEDIA_TYPE)


def problem_of(error: CitybrainError) -> Problem:
    """What an error of ours is to the caller."""
    match error:
        case Unauthenticated():
            return Problem(401, str(error), {"WWW-Authenticate": "Bearer"})
        case Forbidden():
            return Problem(403, str(error))
        case BusFull():
            return Problem(429, str(error), {"Retry-After": str(FULL_RETRY_AFTER_S)})
        case _ if error.retryable:
            return Problem(503, str(error), {"Retry-After": str(RETRY_AFTER_S)})
        case _:  # nothing that a caller can mend should come here
            _log.error("unexpected_error", exc_info=error)
            return Problem(500, _OUR_FAULT)


def install(app: FastAPI) -> None:
    """Answer every error of the application with problem details."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(CitybrainError, _on_our_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(Exception, on_anything_else)


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - how it is registered
    return problem_response(error)


async def _on_our_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, CitybrainError)  # noqa: S101 - how it is registered
    return problem_response(problem_of(error))


async def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - how it is registered
    return problem_response(Problem(error.status_code, str(error.detail), error.headers))


async def _on_invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - how it is registered
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return problem_response(Problem(400, "the body is not JSON"))
    errors = [{"field": _field(one["loc"]), "detail": one["msg"].removeprefix("Value error, ")} for one in found]
    first = errors[0] if errors else {"field": "request", "detail": "is not valid"}
    return problem_response(Problem(422, f"{first['field']}: {first['detail']}", more={"errors": errors}))


def _field(place: Sequence[object]) -> str:
    """A field's name without the part of the request that holds it; the part itself where all of it is meant."""
    return ".".join(map(str, place[1:] or place))


async def on_anything_else(_: Request, __: Exception) -> Response:
    """The answer to an error that nobody expected."""
    # The server closes the connection after an error that it had to log.
    return problem_response(Problem(500, _OUR_FAULT, {"Connection": "close"}))
