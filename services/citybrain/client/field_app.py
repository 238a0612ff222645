"""A field app's side of the city: events go to a spool at once, and from there to the city when it can be reached.

Posting again is always safe, so nothing is asked twice and nothing is guessed: an event leaves the spool when the city has
answered for it. One that the city refuses is kept aside with the reason.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import secrets
import time as clock
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from citybrain.client.errors import BodyTooLarge, CityUnreachable, ClientError
from citybrain.client.http import CityClient, Patience, city_client
from citybrain.client.spool import Refused, Spool

_log = logging.getLogger(__name__)
BATCH, BATCH_BYTES = 500, 1 << 20
REFUSED_AGAIN_S = 15.0  # a key may be renewed while events wait
_FOR_EVER = Patience(math.inf, math.inf)


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
        """Keep events, all or none. What lacks an id, a time or a source gets one; the ids."""
        whole = [complete(event, self._source) for event in events]
        bodies = [json.dumps(event, ensure_ascii=False).encode() for event in whole]
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
        """What the city refused and why."""
        return await asyncio.to_thread(self._spool.refused)

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        most = BATCH
        while True:
            try:
                self._wake.clear()
                batch = await asyncio.to_thread(self._spool.take, most, BATCH_BYTES)
                if not batch:
                    self._empty.set()
                    await self._wake.wait()
                    continue
                answer = await self._client.post([one.body for one in batch])
                await asyncio.to_thread(self._spool.done, batch, {one.index: one for one in answer.rejected})
            except BodyTooLarge as error:
                if most == 1:
                    await self._pause(error)
                most = max(1, most // 2)
            except ClientError as error:  # the city refuses the post, or the disk does not do what it should
                await self._pause(error)
            else:
                self._refusal, most = "", BATCH

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
        async with city_client(to, key, _FOR_EVER) as client:
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
    """The event with what it must have: a new id sorts by time (48 bits of milliseconds, 80 of chance, as a ULID has it)."""
    made = {"specversion": "1.0", "id": "", "source": source, "time": ""} | dict(event)
    made["id"] = made["id"] or f"{int(clock.time() * 1000):012x}{secrets.token_hex(10)}"
    made["time"] = made["time"] or datetime.now(UTC).isoformat()
    if isinstance(made["time"], datetime):
        made["time"] = made["time"].isoformat()
    return made
