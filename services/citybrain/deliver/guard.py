"""Connections that reach allowed addresses only. Called by post; the rules themselves are citybrain.endpoints.addresses.

Three gates, each enough by itself: the names' addresses are vetted by the resolver that the connection uses (a name cannot
be looked up twice with two results); every socket is made for one address, vetted right before it is made, which covers
addresses that were written as such; and the peer of a connection is looked at again before anything is sent over it.
A connection of one scheme only: what plain http may reach differs.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection

from citybrain.endpoints.addresses import Policy, Scheme, TargetRefused

Lookup = Callable[[str, int], list[str]]
LOOKUP_THREADS = 32
LOOKUP_S = 5.0
FRESH_S = 30.0
MAX_NAMES = 10_000
KEEP_ALIVE_S = 30
RECEIVE_BUFFER_BYTES = 64 * 1024


class NameNotFound(OSError):
    """A name has no address that we know."""


def system_lookup(host: str, port: int) -> list[str]:
    """The addresses of a name as the system knows them. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Names:
    """Addresses of names, for all connections: threads of its own, one look at a time for each name, kept for `FRESH_S`.

    A name whose servers never answer holds up one thread and nobody else.
    """

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="deliver-names")
        self._known: dict[str, tuple[float, list[str]]] = {}
        self._looking: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a name. Raises NameNotFound."""
        at, found = self._known.get(host, (float("-inf"), []))
        if time.monotonic() - at < FRESH_S:
            return found
        looking = self._looking.get(host)
        if looking is None:
            looking = asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host, port)
            self._looking[host] = looking
            looking.add_done_callback(lambda done: self._looked(host, done))
        try:
            async with asyncio.timeout(LOOKUP_S):
                return await asyncio.shield(looking)
        except TimeoutError as error:
            raise NameNotFound(f"{host} was not found within {LOOKUP_S:.0f} s") from error
        except OSError as error:
            raise NameNotFound(f"{host} was not found: {error.strerror or error}") from error

    def _looked(self, host: str, done: asyncio.Future[list[str]]) -> None:
        self._looking.pop(host, None)
        if done.cancelled() or done.exception() is not None:
            return
        if len(self._known) >= MAX_NAMES:
            self._known.clear()
        self._known[host] = (time.monotonic(), done.result())

    def close(self) -> None:
        """Wait for no thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Resolver(AbstractResolver):
    """Gives the allowed addresses of a name, no others."""

    def __init__(self, names: Names, policy: Policy, scheme: Scheme) -> None:
        self._names, self._policy, self._scheme = names, policy, scheme

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        found = await self._names.addresses(host, port)
        allowed = [one for one in found if self._policy.allows(one, self._scheme)]
        if not allowed:
            raise TargetRefused(f"{host} has no address that is allowed")
        return [_result(host, one, port) for one in allowed]

    async def close(self) -> None:
        """Nothing to close: the names are shared."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {
        "hostname": host, "host": address, "port": port, "family": family, "proto": socket.IPPROTO_TCP,
        "flags": socket.AI_NUMERICHOST,
    }  # fmt: skip


class GuardedConnector(aiohttp.TCPConnector):
    """A pool of connections for one scheme. Raises TargetRefused before a socket is made for an address that is not allowed."""

    def __init__(self, names: Names, policy: Policy, scheme: Scheme, max_connections: int) -> None:
        super().__init__(
            resolver=_Resolver(names, policy, scheme), use_dns_cache=False, limit=max_connections, keepalive_timeout=KEEP_ALIVE_S,
            socket_factory=self._vetted_socket,
        )  # fmt: skip
        self._policy, self._scheme = policy, scheme

    def _vetted_socket(self, address: Sequence[Any]) -> socket.socket:
        family, kind, protocol, _, where = address
        self._policy.vet(str(where[0]), self._scheme)
        made = socket.socket(family, kind, protocol)
        # What a receiver sends beyond the part that is read waits here: little, however much it wants to send.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        made.setblocking(False)
        return made

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Connection:  # noqa: ANN401, ASYNC109 - aiohttp's signature
        """A connection whose peer was vetted."""
        connection = await super().connect(req, traces, timeout)
        peer = connection.transport.get_extra_info("peername") if connection.transport is not None else None
        try:
            self._policy.vet(str(peer[0]) if peer else "nobody", self._scheme)
        except TargetRefused:
            connection.close()
            raise
        return connection
