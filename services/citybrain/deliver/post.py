"""One attempt: sign, connect, post, read a little of the answer. Called by worker; the edge to receivers.

Whatever a receiver does becomes an `Answer`; nothing is raised but cancellation. No redirect is followed, no cookie kept,
no proxy asked, no answer inflated.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus

import aiohttp
from yarl import URL

from citybrain.deliver import sign
from citybrain.deliver.formats import render, why_refused
from citybrain.deliver.guard import GuardedConnector, Lookup, NameNotFound, Names, system_lookup
from citybrain.deliver.retry import Answer, retry_after
from citybrain.endpoints.addresses import Policy, Scheme, TargetRefused
from citybrain.endpoints.secret import SecretRefused
from citybrain.endpoints.target import Target, read_target
from citybrain.store.deliveries import Claimed

TIMEOUT_S = 15.0
MAX_ANSWER_BYTES = 20 * 1024
_READ_BYTES = 16 * 1024
_HEADERS = {"Content-Type": "application/json", "User-Agent": "citybrain", "Accept-Encoding": "identity"}


class Poster:
    """Posts deliveries. Made by `open_poster`."""

    def __init__(self, sessions: Mapping[Scheme, aiohttp.ClientSession], policy: Policy, clock: Callable[[], datetime]) -> None:
        self._sessions, self._policy, self._clock = sessions, policy, clock

    async def post(self, delivery: Claimed) -> Answer:
        """Make one attempt; at most `TIMEOUT_S` seconds."""
        try:
            target = read_target(delivery.url, self._policy)
            body = render(delivery.format, delivery.body, delivery.language)
            headers = _HEADERS | sign.headers(delivery.webhook_id, self._clock(), body, delivery.secrets)
            async with asyncio.timeout(TIMEOUT_S):
                return await self._exchange(target, body, headers, delivery.format)
        except TimeoutError:
            return Answer(error=f"no answer within {TIMEOUT_S:.0f} s")
        except (TargetRefused, SecretRefused) as error:
            return Answer(error=f"not sent: {error}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(error=_why(error))

    async def _exchange(self, target: Target, body: bytes, headers: Mapping[str, str], format_: str) -> Answer:
        url = URL(target.url, encoded=True)
        if (url.scheme, url.raw_host, url.port) != (target.scheme, target.host, target.port):
            raise TargetRefused("the URL can be read in two ways")
        session = self._sessions[target.scheme]
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            try:
                answer = await _beginning(response)
            except (aiohttp.ClientError, OSError):
                answer = b""  # the status has been said
            wait = retry_after(response.headers.get("Retry-After"), self._clock())
            return Answer(response.status, _error(response.status, format_, answer), answer, wait)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """The first part of the answer; a connection with more to come is closed."""
    found = bytearray()
    async for piece in response.content.iter_any():
        found += piece
        if len(found) > MAX_ANSWER_BYTES:
            response.close()
            break
    return bytes(found[:MAX_ANSWER_BYTES])


def _error(status: int, format_: str, answer: bytes) -> str | None:
    if status // 100 == 3:
        return f"answered {status}: redirects are not followed"
    if status // 100 != 2:
        known = status in HTTPStatus.__members__.values()
        return f"answered {status} {HTTPStatus(status).phrase}" if known else f"answered {status}"
    return why_refused(format_, answer)


def _why(error: Exception) -> str:
    """One line about a failed connection."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case TargetRefused():
                return f"not sent: {cause}"
            case NameNotFound():
                return str(cause)
            case ssl.SSLError():
                return f"TLS: {cause.reason or cause}"
            case ConnectionRefusedError():
                return "connection refused"
            case ConnectionResetError():
                return "connection reset"
        cause = cause.__cause__ or cause.__context__
    return f"{type(error).__name__}: {error}"


@asynccontextmanager
async def open_poster(
    policy: Policy, clock: Callable[[], datetime], max_connections: int, lookup: Lookup = system_lookup
) -> AsyncIterator[Poster]:
    """A poster whose connections are closed at the end."""
    names = Names(lookup)
    schemes: tuple[Scheme, ...] = ("https", "http")
    sessions = {scheme: _session(GuardedConnector(names, policy, scheme, max_connections)) for scheme in schemes}
    try:
        yield Poster(sessions, policy, clock)
    finally:
        for session in sessions.values():
            await session.close()
        names.close()


def _session(connector: GuardedConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=_READ_BYTES, auto_decompress=False, trust_env=False,
    )  # fmt: skip
