"""A city as its public HTTP API shows it: posting events until they are kept, and reading. Used by field_app,
replay, simulate and demo.

Never prints or keeps a key beyond its header. Posting again is always safe: the city counts an identity once.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from yarl import URL

from citybrain.client.errors import BodyTooLarge, CityUnreachable, ClientError, PostRefused

TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0
LONGEST_RETRY_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Rejection:
    """One refused event: its index in the post, and the city's reason."""

    index: int
    code: str
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the city said to one post."""

    accepted: int
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on without an answer: before the first one ever, and later, when the city was there already."""

    at_first_s: float = 15.0
    later_s: float = 180.0


class CityClient:
    """One city. `trouble` says what it is waiting for at the moment, empty when all goes well."""

    def __init__(self, session: aiohttp.ClientSession, url: URL, patience: Patience) -> None:
        self._session, self._url, self._patience = session, url, patience
        self._met = False
        self.trouble = ""

    async def post(self, events: Sequence[bytes]) -> Answer:
        """Post events, one JSON object each, until the city has answered for all of them.

        Raises PostRefused when it never will keep them, CityUnreachable after the patience has run out.
        """
        silent_since, tries = time.monotonic(), 0
        while True:
            tries += 1
            try:
                said = await self.post_once(events)
            except CityUnreachable:
                said = 0.0
            if isinstance(said, Answer):
                return said
            wait_s = max(said, backoff_s(tries))
            spent_s = time.monotonic() - silent_since
            allowed_s = self._patience.later_s if self._met else self._patience.at_first_s
            if spent_s + wait_s > allowed_s:
                raise CityUnreachable(
                    f"{self._url.origin()} does not take events ({self.trouble}): gave up after {tries} tries in {spent_s:.0f} s"
                )
            await asyncio.sleep(wait_s)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON of any shape
        """Read JSON once. Raises PostRefused for an answer that is no 200, CityUnreachable when there is none."""
        try:
            async with self._session.get(self._url / path.lstrip("/"), params=query, allow_redirects=False) as response:
                self._met = True
                if response.status != 200:
                    raise PostRefused(f"GET {path}: {response.status} {_detail(await response.read())}".rstrip())
                return json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CityUnreachable(f"{self._url.origin()} does not answer: {_reason(error)}") from error
        except ValueError as error:
            raise PostRefused(f"GET {path}: the answer is not JSON") from error

    async def send(self, method: str, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON of any shape
        """One request with a JSON body, once. Raises PostRefused for an answer of 300 and above, CityUnreachable."""
        try:
            request = self._session.request(method, self._url / path.lstrip("/"), json=body, allow_redirects=False)
            async with request as response:
                text = await response.read()
                if response.status >= 300:
                    raise PostRefused(f"{method} {path}: {response.status} {_detail(text)}".rstrip())
                return json.loads(text)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CityUnreachable(f"{self._url.origin()} does not answer: {_reason(error)}") from error
        except ValueError as error:
            raise PostRefused(f"{method} {path}: the answer is not JSON") from error

    async def post_once(self, events: Sequence[bytes]) -> Answer | float:
        """One post: the answer, or the seconds that a busy city asks to wait. Raises PostRefused, CityUnreachable."""
        headers = {"Content-Type": "application/x-ndjson"}
        body = b"\n".join(events) + b"\n"
        try:
            request = self._session.post(self._url / "v1/events", data=body, headers=headers, allow_redirects=False)
            async with request as response:
                text = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.trouble = _reason(error)
            raise CityUnreachable(f"{self._url.origin()} does not answer: {self.trouble}") from error
        self._met = True
        if response.status in TRY_AGAIN:
            self.trouble = f"{response.status} {response.reason or ''}".rstrip()
            return _retry_after_s(response.headers.get("Retry-After"), time.time())
        answer = _answer(response.status, text, len(events))
        self.trouble = ""
        return answer


@asynccontextmanager
async def city_client(to: str, key: str, patience: Patience = Patience()) -> AsyncIterator[CityClient]:
    """A client of the city at `to` (http or https), closed afterwards. Raises ClientError for a wrong address or key form."""
    try:
        url = URL(to)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host or url.query_string:
        raise ClientError(f"{to!r} is not the address of a city, like http://127.0.0.1:8000")
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ClientError("a key is needed: printable characters without spaces")
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
    async with aiohttp.ClientSession(headers=headers, timeout=REQUEST_TIMEOUT) as session:
        yield CityClient(session, url.with_fragment(None), patience)


def _answer(status: int, text: bytes, count: int) -> Answer:
    if status in {202, 207, 422}:
        try:
            said = json.loads(text)
            rejected = tuple(
                Rejection(int(item["index"]), str(item["code"]), str(item.get("field") or ""), str(item.get("detail") or ""))
                for item in said.get("rejected", ())
            )
            accepted = int(said.get("accepted", 0))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PostRefused(f"the answer to POST /v1/events is not what a city says ({status})") from error
        if accepted + len(rejected) == count:
            return Answer(accepted, rejected)
        raise PostRefused(
            f"the city answered {status} for {accepted + len(rejected)} of {count} events: {_detail(text)}".rstrip(": ")
        )
    reasons = {
        401: "the city does not know the key (401)",
        403: "the key may not post these events (403)",
        413: "the city takes no post this large (413): choose a smaller --batch",
    }
    reason = reasons.get(status, f"the city refuses the post ({status})")
    detail = _detail(text)
    raise (BodyTooLarge if status == 413 else PostRefused)(f"{reason}: {detail}" if detail else reason)


def _detail(text: bytes) -> str:
    """The reason in a problem document, on one bounded line."""
    try:
        said = json.loads(text)
    except ValueError:
        return ""
    reason = (said.get("detail") or said.get("title") or "") if isinstance(said, dict) else ""
    return " ".join(str(reason).split())[:200]


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {os.strerror(error.errno)}" if error.errno else "cannot connect"
    return " ".join(str(error).split())[:200] or type(error).__name__


def backoff_s(tries: int) -> float:
    """A pause that grows, and is not the same for all."""
    longest: float = min(FIRST_WAIT_S * 2 ** min(tries - 1, 10), LONGEST_WAIT_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, keeps no secret


def _retry_after_s(value: str | None, now_s: float) -> float:
    """Retry-After in seconds: a number or an HTTP date, bounded."""
    if value is None:
        return 0.0
    try:
        wait_s = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - now_s
    except ValueError:
        return 0.0
    return min(max(wait_s, 0.0), LONGEST_RETRY_AFTER_S)
