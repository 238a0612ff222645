"""A limit on the bodies of all routes that read them whole: their size, and how long a part may take. Wraps the application.

FastAPI reads a body before it asks who sent it, so without this a stranger could fill our memory. Routes that read their body
themselves (`but`) have limits of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from citybrain.web.body import IDLE_TIMEOUT_S
from citybrain.web.problem import Problem, problem_response

MAX_BODY_BYTES = 1024 * 1024
_CLOSE = {"Connection": "close"}  # what is still arriving is not read
_TOO_LARGE = f"the body is larger than {MAX_BODY_BYTES >> 20} MiB"


class Bounded:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, but: Collection[tuple[str, str]]) -> None:
        self._app, self._but = app, frozenset(but)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with a body that ends at the limit."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) in self._but:
            await self._app(scope, receive, send)
            return
        said = dict(scope["headers"]).get(b"content-length", b"")
        if said.isdigit() and int(said) > MAX_BODY_BYTES:
            await problem_response(Problem(413, _TOO_LARGE, _CLOSE))(scope, receive, send)
            return
        await self._app(scope, _within(receive), send)


def _within(receive: Receive) -> Receive:
    left, whole = MAX_BODY_BYTES, False

    async def bounded() -> Message:
        nonlocal left, whole
        if whole:  # what follows tells that the client has left, whenever that is
            return await receive()
        try:
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(408, f"no part of the body arrived for {IDLE_TIMEOUT_S:.0f} s", _CLOSE) from error
        left -= len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if left < 0:
            raise HTTPException(413, _TOO_LARGE, _CLOSE)
        return message

    return bounded
