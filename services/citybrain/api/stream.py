"""`GET /v1/stream`: what happens, as server-sent events, from where a listener left off. Called by router.

Events: `alert` (something was added to an alert's log), `window` (windows of areas changed: read them again), `reset` (what was
missed of the kinds in `lost` is no longer kept: read these anew), `dropped` (why the stream ends). A listener that does not read
is dropped and slows nobody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from citybrain.api.hierarchy import hierarchy_of
from citybrain.api.params import Text, known_area
from citybrain.api.parts import ApiParts
from citybrain.api.stream_hub import Gone, Hub, Message, Wanted, read_id, write_id
from citybrain.errors import CitybrainError
from citybrain.store.stream import Position
from citybrain.web import answers, invalid

_log = logging.getLogger(__name__)
LOOK_S = 1.0  # so often a listener's key is looked at again
SILENT_S = 15.0  # after so long a comment keeps proxies from closing the connection
SEND_S = 10.0  # a listener that takes nothing for so long is dropped
AT_ONCE_BYTES = 32 * 1024
RECONNECT_MS = 2000
_EXAMPLE = """retry: 2000

id: 41.977
event: alert
data: {"kind":"firing","alert":{"id":"4c1f…","rule":"lot_full","state":"firing"},"entry":{"entry":2,"kind":"firing"}}

id: 41.978
event: window
data: {"step":"1m","windows":[{"metric":"parking.occupied","area":"610602","start":"2026-11-23T00:15:00Z"}],"truncated":false}

"""


def add_stream(router: APIRouter, parts: ApiParts) -> None:
    """The route."""
    hub = Hub(parts.pool, parts.public_url)

    @router.get(
        "/v1/stream",
        summary="What happens, as server-sent events",
        response_class=Response,
        responses=answers(404)
        | {200: {"description": "It does not end by itself", "content": {"text/event-stream": {"example": _EXAMPLE}}}},
    )
    async def stream(
        request: Request,
        event: Annotated[list[Literal["alert", "window"]] | None, Query(description="all kinds without it")] = None,
        area: Annotated[Text | None, Query(description="this area and what lies below")] = None,
        metric: Annotated[list[Text] | None, Query(description="of windows; all without it")] = None,
        last: Annotated[str | None, Header(alias="Last-Event-ID", description="go on behind this message")] = None,
    ) -> Response:
        position = None if not last else read_id(last)
        if last and position is None:
            raise invalid("Last-Event-ID", "is not the id of a message of this stream")
        areas = parts.city().areas
        below = None if area is None else frozenset(hierarchy_of(areas).ever_below(known_area(areas, area)))
        wanted = Wanted(frozenset(event or ("alert", "window")), below, None if metric is None else frozenset(metric))
        return EventStream(_Listener(hub, parts, request, wanted, position))


class _Dropped(Exception):
    """Why a stream ends."""


class _Listener:
    """One stream: what is to be sent, in order, as bytes."""

    def __init__(self, hub: Hub, parts: ApiParts, request: Request, wanted: Wanted, position: Position | None) -> None:
        self._hub, self._parts, self._request, self._wanted, self._position = hub, parts, request, wanted, position
        self._unsaid = False  # the position has moved without a message
        self._gauge = parts.metrics.stream_listeners

    async def parts_to_send(self) -> AsyncGenerator[bytes, None]:
        """Until the listener is dropped. Raises what the first look at the database raises."""
        now, place = await self._hub.enter()
        self._gauge.inc()
        try:
            yield f"retry: {RECONNECT_MS}\n\n".encode()
            position = now if self._position is None else self._position.taking({"alert", "window"} - self._wanted.events, now)
            ahead = not await self._hub.came_to(position)  # of another database, or of one that was put back to an earlier state
            self._position = now if ahead else position
            if ahead:
                yield self._reset("the id is not of this city as it is now: read anew", self._wanted.events)
            while True:
                try:
                    found, after, place = await self._hub.earlier(self._position)
                except Gone as error:
                    self._position = error.onward
                    if self._wanted.events & error.lost:
                        yield self._reset(str(error), error.lost)
                    continue
                for text in self._written(found):
                    yield text
                self._position = after
                if not found:
                    break
            async for part in self._live(place):
                yield part
        except (_Dropped, CitybrainError) as error:
            self._note(str(error))
            yield self._message("dropped", msgspec.json.encode({"why": str(error)}))
        finally:
            self._gauge.dec()
            self._hub.leave()

    async def _live(self, place: int) -> AsyncGenerator[bytes, None]:
        spoke = looked = time.monotonic()
        while True:
            found = self._hub.since(place)
            if found is None:
                raise _Dropped("too slow: more happened than is kept for you; come back with Last-Event-ID")
            messages, place = found
            for text in self._written(messages):
                spoke = time.monotonic()
                yield text
            if time.monotonic() - spoke >= SILENT_S:
                spoke = time.monotonic()
                yield self._message("", b"") if self._unsaid else b":\n\n"
            await self._hub.wait(place, LOOK_S)
            if time.monotonic() - looked >= LOOK_S:
                looked = time.monotonic()
                await self._parts.reader(self._request)  # a key that was revoked hears no more
                if self._parts.draining():
                    raise _Dropped("the city is stopping")

    def _written(self, messages: Iterable[Message]) -> Iterator[bytes]:
        """What the listener does not have yet, a little at a time: what is sent at once waits in memory for who reads slowly."""
        text = b""
        for one in messages:
            if self._position is None or one.covered(self._position):
                continue
            self._position, told = one.moved(self._position), one.told(self._wanted)
            if told is None:
                self._unsaid = True
            else:
                text += self._message(*told)
                self._parts.metrics.stream_messages.labels(told[0]).inc()
                if len(text) > AT_ONCE_BYTES:
                    yield text
                    text = b""
        if text:
            yield text

    def _reset(self, why: str, lost: frozenset[str]) -> bytes:
        return self._message("reset", msgspec.json.encode({"why": why, "lost": sorted(self._wanted.events & lost)}))

    def _message(self, event: str, data: bytes) -> bytes:
        self._unsaid = False
        name = f"event: {event}\n".encode() if event else b""
        content = b"data: " + data + b"\n" if data else b""
        return b"id: " + write_id(self._position or Position(0, 0)).encode() + b"\n" + name + content + b"\n"

    def _note(self, why: str) -> None:
        self._parts.metrics.stream_dropped.labels(why.partition(":")[0]).inc()
        _log.info("stream_dropped", extra={"why": why})


class EventStream(Response):
    """Sends a listener its messages; gives up on one that takes none for a while."""

    media_type = "text/event-stream"

    def __init__(self, listener: _Listener) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Until the listener leaves or is dropped."""
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_left(receive))
        done, waiting = await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if sending in done:
            sending.result()

    async def _send(self, send: Send) -> None:
        begun = False
        messages = self._listener.parts_to_send()
        try:
            async for part in messages:
                if not begun:
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    begun = True
                async with asyncio.timeout(SEND_S):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            async with asyncio.timeout(SEND_S):
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            self._listener._note(f"too slow: took nothing for {SEND_S:.0f} s")  # noqa: SLF001 - of this module
        finally:
            await messages.aclose()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
