"""Endpoints of the profile's endpoints.yaml as rows. Called by whoever loads a profile, in its transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

from citybrain.endpoints.addresses import Policy, TargetRefused
from citybrain.endpoints.manage import OVERLAP, PROFILE, EndpointRefused, changed, check_heartbeat, check_name, rotate
from citybrain.endpoints.secret import SecretRefused, key_of, new_secret
from citybrain.endpoints.target import read_target
from citybrain.store import endpoints as store
from citybrain.store.endpoints import EndpointRow, NewEndpoint
from citybrain.store.pool import Connection


class EndpointLine(Protocol):
    """A line of endpoints.yaml. Without a secret the one it has is kept, or one is made."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def default(self) -> bool: ...
    @property
    def language(self) -> str: ...
    @property
    def heartbeat(self) -> bool: ...
    @property
    def secret(self) -> str | None: ...


def check_lines(lines: Sequence[EndpointLine], policy: Policy) -> None:
    """Whether all lines can be used. Raises EndpointRefused, which names the endpoint and never its secret."""
    for line in lines:
        try:
            check_name(line.name)
            check_heartbeat(line.format, heartbeat=line.heartbeat)
            read_target(line.url, policy)
            if line.secret is not None:
                key_of(line.secret)
        except (TargetRefused, SecretRefused, EndpointRefused) as error:
            raise EndpointRefused(f"endpoints.yaml: endpoint {line.name!r}: {error}") from error


async def sync_profile_endpoints(connection: Connection, lines: Sequence[EndpointLine], policy: Policy) -> None:
    """Make the profile's endpoints those of the lines: new, changed, back again, or removed. Raises EndpointRefused.

    An endpoint of that name that was made by hand becomes the profile's. One that is disabled stays so until its URL changes.
    """
    check_lines(lines, policy)
    async with connection.transaction():
        await store.one_at_a_time(connection)
        made = {one.name: one for one in await store.of_profile(connection)}
        for line in sorted(lines, key=lambda one: one.name):
            await _sync(connection, line, made.get(line.name), policy)
        wanted = {line.name for line in lines}
        for one in made.values():
            if one.name not in wanted and one.removed_at is None:
                await store.remove(connection, one.endpoint_id)


async def _sync(connection: Connection, line: EndpointLine, known: store.OfProfile | None, policy: Policy) -> None:
    row = await store.find_by_name(connection, line.name)
    if row is None and known is not None:
        await store.restore(connection, known.endpoint_id)
        row = await store.find_by_name(connection, line.name)
    if row is None:
        url = read_target(line.url, policy).url
        new = NewEndpoint(uuid4(), line.name, url, line.format, line.default, line.language, line.heartbeat, PROFILE)
        await store.add(connection, new)
        await store.put_secret(connection, new.endpoint_id, line.secret or new_secret(), OVERLAP)
        return
    fields = {
        "url": line.url, "format": line.format, "is_default": line.default, "language": line.language,
        "heartbeat": line.heartbeat, "made_by": PROFILE,
    }  # fmt: skip
    after = changed(row, fields, policy, datetime.now(UTC))
    await _write(connection, row, after)
    if line.secret is not None:
        await rotate(connection, row.endpoint_id, line.secret)


async def _write(connection: Connection, before: EndpointRow, after: EndpointRow) -> None:
    if after != before:
        await store.change(connection, after)
    if after.url != before.url:
        await store.reset_health(connection, before.endpoint_id)
