"""What happens, read once a process and handed to all who listen. Used by stream.py.

One loop reads the database while anybody listens and puts messages on a ring. A listener is a place on the ring: it costs nothing
until it writes, and one that falls off the end of the ring is too slow. Who resumes from before the ring reads the database
itself up to where the ring begins.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from citybrain.errors import CitybrainError
from citybrain.store import alert_reads, changes, stream, window_reads
from citybrain.store.changes import SeriesRow
from citybrain.store.pool import Connection, Pool
from citybrain.store.stream import AlertEntry, Position, WindowPass
from citybrain_schemas.alerts import Alert, Links
from citybrain_schemas.instants import format_time

_log = logging.getLogger(__name__)
EVERY_S = 0.2
RETRY_S = 1.0
AT_ONCE = 500
LONGEST_RING = 4_000
MAX_SERIES = 200_000  # whose names are remembered
MAX_WINDOWS = 1_000  # named in one message
_ID = re.compile(r"(\d{1,18})\.(\d{1,18})")


def write_id(position: Position) -> str:
    """The id of the message that brings a listener to a position."""
    return f"{position.alert}.{position.window}"


def read_id(text: str) -> Position | None:
    """The position of a message's id; None when it is not one of ours."""
    found = _ID.fullmatch(text)
    return None if found is None else Position(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a listener wants to hear of; None is everything. `areas`: codes of an area and of all that lie below it."""

    events: frozenset[str] = frozenset({"alert", "window"})
    areas: frozenset[str] | None = None
    metrics: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """Something happened to an alert. `data` is JSON."""

    number: int
    area: str
    data: bytes

    def covered(self, position: Position) -> bool:
        """Whether a listener has it already."""
        return self.number <= position.alert

    def moved(self, position: Position) -> Position:
        """Where a listener is that has it."""
        return position._replace(alert=self.number)

    def told(self, wanted: Wanted) -> tuple[str, bytes] | None:
        """The event's name and data; None when the listener does not want it."""
        if "alert" not in wanted.events or (wanted.areas is not None and self.area not in wanted.areas):
            return None
        return "alert", self.data


@dataclass(slots=True)
class WindowMessage:
    """Windows of areas changed. What different listeners want of it is written once."""

    number: int
    windows: Sequence[tuple[str, str, int]]  # metric, area, minute
    _written: dict[tuple[frozenset[str] | None, frozenset[str] | None], bytes | None] = field(default_factory=dict)

    def covered(self, position: Position) -> bool:
        """Whether a listener has it already."""
        return self.number <= position.window

    def moved(self, position: Position) -> Position:
        """Where a listener is that has it."""
        return position._replace(window=self.number)

    def told(self, wanted: Wanted) -> tuple[str, bytes] | None:
        """The event's name and data; None when the listener does not want it."""
        if "window" not in wanted.events:
            return None
        key = (wanted.areas, wanted.metrics)
        if key not in self._written:
            self._written[key] = self._write(wanted)
        data = self._written[key]
        return None if data is None else ("window", data)

    def _write(self, wanted: Wanted) -> bytes | None:
        found = [
            {"metric": metric, "area": area, "start": format_time(datetime.fromtimestamp(minute * 60, UTC))}
            for metric, area, minute in self.windows
            if (wanted.areas is None or area in wanted.areas) and (wanted.metrics is None or metric in wanted.metrics)
        ]
        if not found:
            return None
        return msgspec.json.encode({"step": "1m", "windows": found[:MAX_WINDOWS], "truncated": len(found) > MAX_WINDOWS})


Message = AlertMessage | WindowMessage


class Gone(CitybrainError):
    """What happened since then is no longer kept: read anew."""

    def __init__(self, lost: frozenset[str], onward: Position) -> None:
        super().__init__("what happened since then is no longer kept: read anew")
        self.lost, self.onward = lost, onward  # the kinds of messages; where to go on: with these from now on


class Hub:
    """One a process. Everything happens on the event loop that it is first used on."""

    def __init__(self, pool: Pool, public_url: str) -> None:
        self._pool, self._public_url = pool, public_url
        self._ring: deque[Message] = deque()
        self._first = 0  # the place of the ring's oldest message
        self._begins = Position(0, 0)  # where a listener is before that message
        self._head = Position(0, 0)
        self._names: dict[int, SeriesRow] = {}
        self._moved = asyncio.Event()
        self._starting = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None
        self._listeners = 0

    async def enter(self) -> tuple[Position, int]:
        """Begin to listen: the position of now and its place on the ring. Raises DatabaseUnavailable. `leave` ends it."""
        async with self._starting:
            if self._loop is None or self._loop.done():
                async with window_reads.snapshot(self._pool) as connection:
                    self._head = self._begins = await stream.heads(connection)
                self._first += len(self._ring)
                self._ring.clear()
                self._loop = asyncio.create_task(self._run())
            self._listeners += 1
        return self._head, self._first + len(self._ring)

    async def came_to(self, position: Position) -> bool:
        """Whether the stream has come to a position: another process may have told it sooner. Raises DatabaseUnavailable."""
        if position.within(self._head):
            return True
        async with window_reads.snapshot(self._pool) as connection:
            return position.within(await stream.heads(connection))

    def leave(self) -> None:
        """One listener less."""
        self._listeners -= 1

    def since(self, place: int) -> tuple[list[Message], int] | None:
        """The messages from a place on, and the place behind them; None when the place has fallen off."""
        if place < self._first:
            return None
        end = self._first + len(self._ring)
        return [self._ring[n] for n in range(place - self._first, len(self._ring))], end

    async def wait(self, place: int, limit_s: float) -> None:
        """Until there is a message at a place, at most so long."""
        if place < self._first + len(self._ring):
            return
        try:
            async with asyncio.timeout(limit_s):
                await self._moved.wait()
        except TimeoutError:
            return

    async def earlier(self, position: Position) -> tuple[list[Message], Position, int]:
        """A part of what follows a position, from the database where the ring has it no longer; where that leads; and the place
        on the ring to go on from, once nothing is left. Raises Gone, DatabaseUnavailable."""
        begins, place = self._begins, self._first
        if position.alert >= begins.alert and position.window >= begins.window:
            return [], position, place
        async with window_reads.snapshot(self._pool) as connection:
            gone = await stream.forgotten(connection)
            halves = zip(Position._fields, position, gone, begins, strict=True)
            lost = frozenset(kind for kind, at, forgotten, end in halves if at < min(forgotten, end))
            if lost:
                raise Gone(lost, position.taking(lost, self._head))
            found = await self._read(connection, position, begins)
        for one in found:
            position = one.moved(position)
        full = len(found) >= AT_ONCE
        return (
            found,
            position if full else Position(max(position.alert, begins.alert), max(position.window, begins.window)),
            place,
        )

    async def _run(self) -> None:
        while self._listeners:
            try:
                async with window_reads.snapshot(self._pool) as connection:
                    fresh = await self._read(connection, self._head, await stream.heads(connection))
            except Exception as error:  # noqa: BLE001 - the loop's outermost edge: told, and tried again
                unknown = None if isinstance(error, CitybrainError) else error
                _log.warning("stream_failed", extra={"reason": str(error)[:500]}, exc_info=unknown)
                await asyncio.sleep(RETRY_S)
                continue
            if fresh:
                self._put(fresh)
            await asyncio.sleep(EVERY_S)

    def _put(self, fresh: Iterable[Message]) -> None:
        for one in fresh:
            self._ring.append(one)
            self._head = one.moved(self._head)
        while len(self._ring) > LONGEST_RING:
            self._begins = self._ring.popleft().moved(self._begins)
            self._first += 1
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _read(self, connection: Connection, after: Position, through: Position) -> list[Message]:
        entries = await stream.entries(connection, after.alert, through.alert, AT_ONCE)
        alerts = await alert_reads.by_id(connection, {one.alert_id for one in entries})
        passes = await stream.passes(connection, after.window, through.window, AT_ONCE)
        await self._learn(connection, {number for one in passes for number in one.series})
        told: list[Message] = [self._alert(one, alerts[one.alert_id]) for one in entries]
        return told + [self._windows(one) for one in passes]

    def _alert(self, one: AlertEntry, alert: Alert) -> AlertMessage:
        shown = alert.model_copy(update={"links": Links.of(self._public_url, alert.id)})
        content = {"kind": one.entry.kind, "alert": shown.model_dump(mode="json"), "entry": one.entry.model_dump(mode="json")}
        return AlertMessage(one.number, alert.area.code, msgspec.json.encode(content))

    def _windows(self, one: WindowPass) -> WindowMessage:
        pairs = zip(one.series, one.minutes, strict=True)
        found = [(self._names[series], minute) for series, minute in pairs if series in self._names]
        return WindowMessage(one.number, [(series.metric, series.area, minute) for series, minute in found])

    async def _learn(self, connection: Connection, numbers: set[int]) -> None:
        if len(self._names) > MAX_SERIES:
            self._names.clear()
        unknown = numbers - self._names.keys()
        if unknown:
            self._names |= {row.number: row for row in await changes.series(connection, unknown)}
