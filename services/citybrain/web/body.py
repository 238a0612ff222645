"""Read a request's body within a limit on what it inflates to. Called by ingest; raises Problem, never reads more than it must.

A refused body is not drained here: the server drops what is still arriving after the answer, so a client that is still
sending gets to read it. Only one that waits for `100 Continue` is told to close, for it will never send that body.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from citybrain.web.inflate import INFLATERS, BrokenCompression, WindowTooLarge
from citybrain.web.problem import Problem

IDLE_TIMEOUT_S = 30.0
_DISCARD_TIMEOUT_S = 1.0
_DISCARD_BYTES = 16 * 1024 * 1024
_PAUSE_BYTES = 1024 * 1024  # let other requests run after inflating this much


class Body:
    """The body of one request, to be read once. Counts what it inflated to."""

    def __init__(self, receive: Receive, headers: dict[bytes, bytes], limit_bytes: int) -> None:
        self._receive = receive
        self._limit_bytes = limit_bytes
        self.inflated_bytes = 0
        encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
        found = INFLATERS.get(encoding)
        if found is None:
            raise Problem(415, f"the content encoding {encoding[:40]!r} is not known", {"Accept-Encoding": "gzip, zstd"})
        self._inflater = found()
        self._refuse_by_length(headers.get(b"content-length"))

    def _refuse_by_length(self, header: bytes | None) -> None:
        if header is not None and header.isdigit() and int(header) > self._limit_bytes:
            raise self._too_large()

    def _too_large(self) -> Problem:
        return Problem(413, f"the body is larger than {self._limit_bytes >> 20} MiB after inflating")

    async def whole(self) -> bytes:
        """All of it."""
        pieces = [piece async for piece in self.pieces()]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def pieces(self) -> AsyncIterator[bytes]:
        """As it arrives, inflated. Raises Problem (400, 408, 413) and ClientDisconnect."""
        unpaused_bytes = 0
        more = True
        while more:
            arrived, more = await self._next()
            try:
                for piece in self._inflater.feed(arrived):
                    self.inflated_bytes += len(piece)
                    if self.inflated_bytes > self._limit_bytes:
                        raise self._too_large()
                    yield piece
                    unpaused_bytes += len(piece)
                    if unpaused_bytes > _PAUSE_BYTES:
                        unpaused_bytes = 0
                        await asyncio.sleep(0)
                if not more:
                    self._inflater.finish()
            except BrokenCompression as error:
                raise Problem(400, str(error)) from error
            except WindowTooLarge as error:
                raise Problem(413, str(error)) from error

    async def _next(self) -> tuple[bytes, bool]:
        try:
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                message = await self._receive()
        except TimeoutError as error:
            raise Problem(408, f"no part of the body arrived for {IDLE_TIMEOUT_S:.0f} s", {"Connection": "close"}) from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        return message.get("body", b""), message.get("more_body", False)


async def discard(receive: Receive) -> None:
    """Forget what a client is still sending, up to a bound, so that it gets to read an answer that closes the connection."""
    read_bytes, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_TIMEOUT_S):
            while more and read_bytes < _DISCARD_BYTES:
                message = await receive()
                read_bytes += len(message.get("body", b""))
                more = message.get("more_body", False)
