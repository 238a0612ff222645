"""Making, changing and removing endpoints, rotating their secrets, and testing them. Called by the API, the commands and runner.

Each function works in a transaction of its own, or in the caller's. A secret is returned once, where it was made, and is
never part of a message. Endpoints of the profile are changed in its endpoints.yaml; here only their secret is rotated, and
they are enabled again.
"""

from __future__ import annotations

import re
import secrets as dice
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args
from uuid import UUID, uuid4

from citybrain.endpoints.addresses import Policy
from citybrain.endpoints.secret import key_of, new_secret
from citybrain.endpoints.target import read_target
from citybrain.errors import CitybrainError
from citybrain.store import deliveries
from citybrain.store import endpoints as store
from citybrain.store.deliveries import NewDelivery
from citybrain.store.endpoints import EndpointRow, NewEndpoint
from citybrain.store.pool import Connection
from citybrain_schemas.webhooks import TEST_TYPE, EndpointTest, TestWebhook

Format = Literal["citybrain", "wecom", "dingtalk", "feishu"]
Language = Literal["en", "zh"]
FORMATS: tuple[str, ...] = get_args(Format)
LANGUAGES: tuple[str, ...] = get_args(Language)
PROFILE = "profile"
OVERLAP = timedelta(hours=24)  # while a secret is changed both sign
_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,62}[^\s\x00-\x1f\x7f])?")


class EndpointRefused(CitybrainError):
    """What was asked about an endpoint cannot be done."""


class NameTaken(EndpointRefused):
    """There is another endpoint of this name."""


class OfTheProfile(EndpointRefused):
    """The endpoint is a line of the profile, and is changed there."""


class NotForRobots(EndpointRefused):
    """A heartbeat goes to a program: a group robot would tell people of it once a minute."""


class NoEndpoint(EndpointRefused):
    """There is no such endpoint."""


class Closed(EndpointRefused):
    """The endpoint takes nothing now."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new endpoint is to be. Without a `secret` one is made."""

    name: str
    url: str
    format: str = "citybrain"
    is_default: bool = False
    language: str = "zh"
    secret: str | None = None
    heartbeat: bool = False

    def __repr__(self) -> str:
        return f"Wish({self.name!r}, …)"


@dataclass(frozen=True, slots=True)
class Changes:
    """Fields with their new values (name, url, format, is_default, language, heartbeat, disabled), and a new secret."""

    fields: Mapping[str, Any]
    secret: str | None = None

    def __repr__(self) -> str:
        return "Changes(…)"


async def create(connection: Connection, wish: Wish, made_by: str, policy: Policy) -> tuple[EndpointRow, str]:
    """A new endpoint and its secret. Raises EndpointRefused, TargetRefused, SecretRefused."""
    check_name(wish.name)
    check_heartbeat(wish.format, heartbeat=wish.heartbeat)
    url = read_target(wish.url, policy).url
    secret = new_secret() if wish.secret is None else wish.secret
    key_of(secret)
    endpoint_id = uuid4()
    new = NewEndpoint(endpoint_id, wish.name, url, wish.format, wish.is_default, wish.language, wish.heartbeat, made_by)
    async with connection.transaction():
        if not await store.add(connection, new):
            raise NameTaken(f"there is an endpoint named {wish.name!r}; choose another name")
        await store.put_secret(connection, endpoint_id, secret, OVERLAP)
    return await found(connection, str(endpoint_id)), secret


async def found(connection: Connection, name_or_id: str) -> EndpointRow:
    """One endpoint. Raises NoEndpoint."""
    row = await store.find(connection, name_or_id)
    if row is None:
        raise NoEndpoint(f"there is no endpoint with the name or id {name_or_id!r}")
    return row


async def change(connection: Connection, endpoint_id: str, changes: Changes, policy: Policy, now: datetime) -> EndpointRow:
    """Change an endpoint. Raises as `create` does, and NoEndpoint, OfTheProfile."""
    async with connection.transaction():
        row = await found(connection, endpoint_id)
        if set(changes.fields) - {"disabled"} and row.made_by == PROFILE:
            raise OfTheProfile(f"the endpoint {row.name!r} is of the city's profile: change its endpoints.yaml")
        await _write(connection, row, changed(row, changes.fields, policy, now))
        if changes.secret is not None:
            await rotate(connection, row.endpoint_id, changes.secret)
    return await found(connection, str(row.endpoint_id))


def changed(row: EndpointRow, fields: Mapping[str, Any], policy: Policy, now: datetime) -> EndpointRow:
    """The endpoint after changes. Somewhere else it begins anew, also if it was disabled. Raises as `create` does."""
    changes = dict(fields)
    disabled = changes.pop("disabled", None)
    if "name" in changes:
        check_name(changes["name"])
    if "url" in changes:
        changes["url"] = read_target(changes["url"], policy).url
    after = row._replace(**changes)
    check_heartbeat(after.format, heartbeat=after.heartbeat)
    if disabled is False or (after.url != row.url and disabled is None):
        return after._replace(disabled_at=None, disabled_why=None)
    if disabled and row.disabled_at is None:
        return after._replace(disabled_at=now, disabled_why="by hand")
    return after


async def _write(connection: Connection, before: EndpointRow, after: EndpointRow) -> None:
    if after == before:
        return
    if after.name != before.name and await store.find_by_name(connection, after.name) is not None:
        raise NameTaken(f"there is an endpoint named {after.name!r}; choose another name")
    if not await store.change(connection, after):
        raise NoEndpoint(f"there is no endpoint {before.name!r} any more")
    if after.url != before.url or (before.disabled_at is not None and after.disabled_at is None):
        await store.reset_health(connection, before.endpoint_id)


async def rotate(connection: Connection, endpoint_id: UUID, secret: str) -> None:
    """Another secret; the one before signs, too, for a day. Nothing happens when it is in use already. Raises SecretRefused."""
    key_of(secret)
    if (await store.live_secrets(connection, endpoint_id))[:1] != [secret]:
        await store.put_secret(connection, endpoint_id, secret, OVERLAP)


async def remove(connection: Connection, endpoint_id: str) -> None:
    """It gets nothing any more. Raises NoEndpoint, OfTheProfile."""
    row = await found(connection, endpoint_id)
    if row.made_by == PROFILE:
        raise OfTheProfile(f"the endpoint {row.name!r} is of the city's profile: take its line out of endpoints.yaml")
    if not await store.remove(connection, row.endpoint_id):
        raise NoEndpoint(f"there is no endpoint {row.name!r} any more")


async def send_test(connection: Connection, name_or_id: str, now: datetime) -> tuple[UUID, str]:
    """A delivery of type endpoint.test; its id and its webhook-id. Raises NoEndpoint, Closed."""
    row = await found(connection, name_or_id)
    if row.disabled_at is not None:
        raise Closed(f"the endpoint {row.name!r} is disabled ({row.disabled_why}); enable it first")
    delivery_id, webhook_id = uuid4(), f"msg_{dice.token_hex(16)}"
    body = TestWebhook(timestamp=now, data=EndpointTest(endpoint=row.name)).model_dump_json().encode()
    await deliveries.put(connection, NewDelivery(delivery_id, webhook_id, row.endpoint_id, TEST_TYPE, body))
    return delivery_id, webhook_id


async def resend(connection: Connection, delivery_id: UUID) -> bool:
    """Send a delivery again at once, under its webhook-id. False when there is none. Raises Closed."""
    one = await deliveries.one(connection, delivery_id)
    if one is None:
        return False
    row, _, closed = one
    if closed:
        raise Closed(f"the endpoint {row.endpoint!r} is disabled or removed; enable it first")
    await deliveries.resend(connection, delivery_id)
    return True


def check_heartbeat(format_: str, *, heartbeat: bool) -> None:
    """Raises NotForRobots."""
    if heartbeat and format_ != "citybrain":
        raise NotForRobots("the heartbeat is for programs: its format is citybrain, not that of a group robot")


def check_name(name: str) -> None:
    """Raises EndpointRefused."""
    if _NAME.fullmatch(name) is None:
        raise EndpointRefused("an endpoint's name is 1 to 64 characters on one line, without spaces around it")
