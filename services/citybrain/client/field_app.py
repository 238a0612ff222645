"""A field app's side of the city: events go to a spool at once, and from there to the city when it can be reached.

Posting again is always safe, so nothing is asked twice and nothing is guessed: an event leaves the spool when the city has
answered for it. One that the city refuses is kept aside with the reason.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time as clock
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from citybrain.client.errors import BodyTooLarge, CityUnreachable, ClientError
from citybrain.client.http import CityClient, Rejection, backoff_s, city_client
from citybrain.client.spool import Refused, Spool, Waiting

_log = logging.getLogger(__name__)
BATCH, BATCH_BYTES = 500, 1 << 19
MAX_EVENT_BYTES = 256 * 1024  # of any city: ingest.strict_json
QUICK_S = 15.0  # twice as many would be through in half the time that a post may take
REFUSED_AGAIN_S = 15.0  # a key may be renewed while events wait


class FieldApp:
    """Made by `field_app`. `source` is that of events which name none."""

    def __init__(self, client: CityClient, spool: Spool, source: str) -> None:
        self._client, self._spool, self._source = client, spool, source
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._refusal = ""

    @property
    def trouble(self) -> str:
        """Why events wait, empty when all goes well."""
        return self._refusal or self._client.trouble

    async def post(self, type: str, data: Mapping[str, Any], *, subject: str | None = None, **attributes: Any) -> str:  # noqa: A002, ANN401 - CloudEvents' names
        """Keep one event; it is on disk when this returns. The id that it was given, or has. Raises SpoolFull, ClientError."""
        event = {"type": type, "data": dict(data)} | ({} if subject is None else {"subject": subject}) | attributes
        return (await self.put([event]))[0]

    async def put(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        """Keep events, all or none. What lacks an id, a time or a source gets one; the ids. Raises SpoolFull, ClientError."""
        whole = [complete(event, self._source) for event in events]
        bodies = [encoded(event) for event in whole]
        self._empty.clear()
        await asyncio.to_thread(self._spool.put, bodies)
        self._wake.set()
        return [str(event["id"]) for event in whole]

    async def flush(self, limit_s: float = 60.0) -> None:
        """Wait until nothing waits. Raises CityUnreachable, with the reason, after so many seconds."""
        try:
            async with asyncio.timeout(limit_s):
                while await asyncio.to_thread(self._spool.count):
                    self._empty.clear()
                    self._wake.set()
                    await self._empty.wait()
        except TimeoutError as error:
            waiting = await asyncio.to_thread(self._spool.count)
            raise CityUnreachable(f"{waiting} events wait after {limit_s:.0f} s: {self.trouble or 'no answer yet'}") from error

    async def refused(self) -> list[Refused]:
        """What the city refused and why, the first first; only the newest of very much."""
        return await asyncio.to_thread(self._spool.refused)

    async def forget(self, looked_at: Sequence[Refused]) -> None:
        """Drop these of what was refused."""
        await asyncio.to_thread(self._spool.forget, looked_at)

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        most, tries = BATCH, 0
        while True:
            try:
                self._wake.clear()
                batch = await asyncio.to_thread(self._spool.take, most, BATCH_BYTES)
                if not batch:
                    self._empty.set()
                    await self._wake.wait()
                    continue
                begun = clock.monotonic()
                try:
                    said = await self._send(batch)
                except BodyTooLarge:
                    most = len(batch) // 2
                    continue
                except CityUnreachable:  # a slow line gets fewer through
                    most, said = max(1, len(batch) // 2), 0.0
                if isinstance(said, float):
                    tries += 1
                    await asyncio.sleep(max(said, backoff_s(tries)))
                    continue
                await asyncio.to_thread(self._spool.done, batch, said)
            except ClientError as error:  # the city refuses the post, or the disk does not do what it should
                await self._pause(error)
            else:
                self._refusal, tries = "", 0
                if clock.monotonic() - begun < QUICK_S:
                    most = min(BATCH, most * 2)

    async def _send(self, batch: Sequence[Waiting]) -> dict[int, Rejection] | float:
        """One post: what is refused of it by place, or the seconds to wait. Raises BodyTooLarge for several events only."""
        try:
            said = await self._client.post_once([one.body for one in batch])
        except BodyTooLarge as error:
            if len(batch) > 1:
                raise
            return {0: Rejection(0, "too_large", "", str(error))}
        return said if isinstance(said, float) else {one.index: one for one in said.rejected}

    async def _pause(self, error: ClientError) -> None:
        """Nothing is lost: everything waits, and is tried again."""
        self._refusal = str(error)
        _log.warning("events_wait", extra={"reason": str(error)})
        await asyncio.sleep(REFUSED_AGAIN_S)


@asynccontextmanager
async def field_app(to: str, key: str, spool: Path, *, source: str, limit_bytes: int = 1 << 30) -> AsyncIterator[FieldApp]:
    """An app of the city at `to`; what waits at the end is sent by whoever opens the spool next. Raises ClientError."""
    kept = await asyncio.to_thread(Spool, spool, limit_bytes)
    try:
        async with city_client(to, key) as client:
            app = FieldApp(client, kept, source)
            sending = asyncio.create_task(app.run())
            try:
                yield app
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
    finally:
        kept.close()


def complete(event: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The event with what it must have: a new id sorts by time (48 bits of milliseconds, 80 of chance, as a ULID has it).

    Raises ClientError for a time without a zone."""
    made = {"specversion": "1.0", "id": "", "source": source, "time": ""} | dict(event)
    made["id"] = made["id"] or f"{int(clock.time() * 1000):012x}{secrets.token_hex(10)}"
    made["time"] = made["time"] or datetime.now(UTC).isoformat()
    if isinstance(made["time"], datetime):
        if made["time"].utcoffset() is None:
            raise ClientError("the time of an event needs a zone, as datetime.now(UTC) has it")
        made["time"] = made["time"].isoformat()
    return made


def encoded(event: Mapping[str, Any]) -> bytes:
    """Its JSON. Raises ClientError for what no city would take."""
    try:
        body = json.dumps(event, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:  # a lone surrogate is a ValueError, too
        raise ClientError(f"an event is not JSON: {error}") from error
    if len(body) > MAX_EVENT_BYTES:
        raise ClientError(f"an event of {len(body)} bytes: a city takes {MAX_EVENT_BYTES >> 10} KiB at most")
    return body
