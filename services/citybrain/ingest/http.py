"""`POST /v1/events`: read, decide, append, answer. The one edge of ingest; runner mounts it with `create_ingest`.

202 leaves only after the bus has the events. A plain ASGI endpoint: one event a post is the commonest request of all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from citybrain.access import Access, Principal
from citybrain.bus.port import Bus, BusFull, Record
from citybrain.city import City
from citybrain.errors import CitybrainError
from citybrain.ingest import binary
from citybrain.ingest.decide import Circumstances, decide, decide_usual
from citybrain.ingest.lines import Lines
from citybrain.ingest.media import Form, form_of
from citybrain.ingest.openapi import PATHS, SCHEMAS
from citybrain.ingest.strict_json import MAX_ITEM_BYTES, NotJson, cut_array, decode_item
from citybrain.ingest.tally import Tally
from citybrain.readings import warm_up
from citybrain.telemetry import Metrics
from citybrain.web import Described, Problem, problem_response
from citybrain.web.body import Body, discard
from citybrain.web.problem import problem_of
from citybrain_schemas.errors import ItemError, RejectCode
from citybrain_schemas.topics import EVENTS_TOPIC

MAX_LINES_BYTES = 64 * 1024 * 1024
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_ITEMS = 5000
MAX_HELD_BYTES = 128 * 1024 * 1024  # bodies that wait in memory, of all posts together
_CHUNK_RECORDS = 1000
_LONG_BYTES = 16 * 1024  # posts of more take turns
_SLICE_S = 0.004  # let others run after working this long
_TOO_LONG = ItemError(RejectCode.TOO_LARGE, None, f"is longer than {MAX_ITEM_BYTES >> 10} KiB")
_NOT_JSON = ItemError(RejectCode.NOT_JSON, None, "is not JSON")


@dataclass(frozen=True, slots=True)
class IngestParts:
    """What ingest uses. `city` gives the profile that is in force now; `draining` is true once the process was told to stop."""

    bus: Bus
    city: Callable[[], City]
    access: Access
    metrics: Metrics
    clock: Callable[[], datetime]
    draining: Callable[[], bool]


def create_ingest(parts: IngestParts) -> Described:
    """The route and its description, for `create_app`."""
    warm_up()
    return Described((Route("/v1/events", PostEvents(parts), methods=["POST"]),), PATHS, SCHEMAS)


class PostEvents:
    """The endpoint. An instance is an ASGI application of one route."""

    def __init__(self, parts: IngestParts) -> None:
        self._parts = parts
        self._held_bytes = 0
        self._turn = asyncio.Semaphore(1)  # long posts take turns, so that the other roles of the process get theirs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one post."""
        headers = dict(scope["headers"])
        response: ASGIApp
        try:
            response = await self._post(scope, receive, headers)
        except (Problem, CitybrainError) as error:
            response = self._refusal(error if isinstance(error, Problem) else problem_of(error), headers)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    def _refusal(self, problem: Problem, headers: dict[bytes, bytes]) -> Response:
        if problem.status in (429, 503):
            self._parts.metrics.ingest_pressure.labels(str(problem.status)).inc()
        if headers.get(b"expect", b"").lower() == b"100-continue":
            problem.headers["Connection"] = "close"  # such a client may keep the body that was refused to itself
        return problem_response(problem)

    async def _post(self, scope: Scope, receive: Receive, headers: dict[bytes, bytes]) -> ASGIApp:
        principal = await self._admit(headers, receive)
        form = form_of(headers)
        limit_bytes = MAX_LINES_BYTES if form is Form.LINES else MAX_BODY_BYTES
        body = Body(receive, headers, limit_bytes)
        around = Circumstances.of(self._parts.city(), principal, self._parts.clock())
        tally = Tally()
        try:
            if form is Form.LINES:
                await self._lines(body, around, tally)
            else:
                await self._whole(form, body, scope["headers"], (around, tally))
        finally:
            self._count(tally, body)
        return tally.answer()

    async def _admit(self, headers: dict[bytes, bytes], receive: Receive) -> Principal:
        if self._parts.draining():
            await discard(receive)
            raise Problem(503, "this process is stopping; post again", {"Retry-After": "2", "Connection": "close"})
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        return (await self._parts.access.authenticate(authorization)).must_post()

    def _count(self, tally: Tally, body: Body) -> None:
        metrics = self._parts.metrics
        metrics.ingest_accepted.inc(tally.accepted)
        metrics.ingest_bytes.inc(body.inflated_bytes)
        for code, times in tally.codes.items():
            metrics.ingest_rejected.labels(code).inc(times)

    # ---- a body that is held whole ---------------------------------------------------------------------------------

    async def _whole(
        self, form: Form, body: Body, headers: Sequence[tuple[bytes, bytes]], judging: tuple[Circumstances, Tally]
    ) -> None:
        held = bytearray()
        try:
            async for piece in body.pieces():
                self._hold(len(piece))
                held += piece
            around, tally = judging
            async with self._turn if len(held) > _LONG_BYTES else nullcontext():
                records = await _decide_all(_items(form, bytes(held), headers), around, tally)
            await self._append(records, tally)
        except NotJson as error:
            raise Problem(400, f"the body is not JSON as announced: {error}") from error
        finally:
            self._held_bytes -= len(held)

    def _hold(self, size_bytes: int) -> None:
        if self._held_bytes + size_bytes > MAX_HELD_BYTES:
            raise BusFull("too many large posts at once: try again in a second")
        self._held_bytes += size_bytes

    async def _append(self, records: list[Record], tally: Tally) -> None:
        await self._parts.bus.append(EVENTS_TOPIC, records)
        tally.accepted += len(records)

    # ---- a body that is streamed -----------------------------------------------------------------------------------

    async def _lines(self, body: Body, around: Circumstances, tally: Tally) -> None:
        """Chunk by chunk, so that memory stays small; what is refused as a whole tells how much was kept before."""
        chunk: list[Record] = []
        pace = Pace()
        try:
            async for index, line in _numbered(body):
                usual = None if line is None else decide_usual(line, around)
                if usual is not None:
                    chunk.append(usual)
                else:
                    item = _TOO_LONG if line is None else _decoded_line(line)
                    _judge(index, item, around, (tally, chunk))
                if len(chunk) == _CHUNK_RECORDS:
                    await self._append(chunk, tally)
                    chunk = []
                if pace.is_due():
                    await pace.rest()
        except Problem as problem:
            await self._append(chunk, tally)
            problem.more |= tally.members()
            raise
        await self._append(chunk, tally)


class Pace:
    """Says when a long piece of work should let others run."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def is_due(self) -> bool:
        """Whether it has worked long enough."""
        return time.monotonic() - self._since > _SLICE_S

    async def rest(self) -> None:
        """Let others run."""
        await asyncio.sleep(0)
        self._since = time.monotonic()


async def _numbered(body: Body) -> AsyncIterator[tuple[int, bytes | None]]:
    """Lines that are not blank, counted from 0; None is one that is too long."""
    lines, index = Lines(), 0
    async for piece in body.pieces():
        for line in lines.feed(piece):
            yield index, line
            index += 1
    for line in lines.last():
        yield index, line


def _decoded_line(line: bytes) -> object:
    try:
        return decode_item(line)
    except NotJson:
        return _NOT_JSON


def _items(form: Form, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Sequence[object]:
    """The items of a whole body; those of an array are still text. Raises NotJson, Problem 413."""
    if form is Form.BINARY:
        payload = decode_item(body) if body else None
        return [payload if isinstance(payload, ItemError) else binary.item_of(headers, payload)]
    if form is Form.ONE or (form is Form.ONE_OR_MANY and not body.lstrip(b" \t\r\n").startswith(b"[")):
        if body.startswith(b"{"):
            return [msgspec.Raw(body)]
        item = decode_item(body)
        if isinstance(item, list):
            raise NotJson("one event was announced, not an array")
        return [item]
    items = cut_array(body)
    if len(items) > MAX_ITEMS:
        raise Problem(413, f"{len(items)} events are more than the {MAX_ITEMS} that one array may hold; nothing was kept")
    return items


async def _decide_all(items: Sequence[object], around: Circumstances, tally: Tally) -> list[Record]:
    """Raises NotJson when the text of an item is no JSON after all: then nothing of the post is."""
    records: list[Record] = []
    pace = Pace()
    for index, item in enumerate(items):
        usual = decide_usual(item, around) if isinstance(item, msgspec.Raw) else None
        if usual is not None:
            records.append(usual)
        else:
            _judge(index, decode_item(item) if isinstance(item, msgspec.Raw) else item, around, (tally, records))
        if pace.is_due():
            await pace.rest()
    return records


def _judge(index: int, item: object, around: Circumstances, into: tuple[Tally, list[Record]]) -> None:
    """Put one decoded item where it belongs."""
    found = item if isinstance(item, ItemError) else decide(item, around)
    tally, records = into
    if isinstance(found, ItemError):
        tally.reject(index, item, found)
    else:
        records.append(found)
