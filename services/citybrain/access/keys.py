"""Making, listing, revoking and rotating keys. Called by the `keys` commands, by runner and by the API. Never logs a key.

Rotating replaces the secret at once: what was leaked stops working within a second. To change over without a gap, create a
second key, move its users, and revoke the first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from citybrain.access.principal import Role
from citybrain.access.secret import hash_of, new_secret
from citybrain.errors import CitybrainError, SettingsError
from citybrain.store.keys import KeyRow, KeyStore, LiveKey

ADMIN_NAME = "admin"
_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,62}[^\s\x00-\x1f\x7f])?")
_DURATION = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class KeyRefused(CitybrainError):
    """What was asked about a key cannot be done."""


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key is to be; `expires` is a duration like `90d`, without it the key never expires."""

    name: str
    role: Role
    source_prefix: str | None = None
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and its text, which is shown once and then forgotten."""

    row: KeyRow
    key: str


async def create_key(store: KeyStore, wish: KeyWish, now: datetime) -> NewKey:
    """A new key. Raises KeyRefused."""
    _check_name(wish.name)
    if wish.source_prefix is not None and wish.role is not Role.INGEST:
        raise KeyRefused(f"--source is for keys of role ingest; a key of role {wish.role} takes none")
    if wish.source_prefix == "":
        raise KeyRefused("the source prefix is empty; leave it out to allow every source")
    expires_at = None if wish.expires is None else now + duration(wish.expires)
    key_id = uuid4()
    key = new_secret(key_id)
    row = LiveKey(key_id, wish.name, wish.role.value, wish.source_prefix, hash_of(key))
    if not await store.create(row, expires_at):
        raise KeyRefused(f"there is or was a key named {wish.name!r}; choose another name")
    return NewKey(await _found(store, str(key_id)), key)


async def list_keys(store: KeyStore) -> list[KeyRow]:
    """Every key there ever was, by name."""
    return await store.all()


async def revoke_key(store: KeyStore, name_or_id: str) -> KeyRow:
    """The key as it is now; revoking twice is no mistake. Raises KeyRefused."""
    row = await _found(store, name_or_id)
    await store.revoke(row.key_id)
    return await _found(store, str(row.key_id))


async def rotate_key(store: KeyStore, name_or_id: str, now: datetime) -> NewKey:
    """Another secret for the same key; the old one stops working. Raises KeyRefused."""
    row = await _found(store, name_or_id)
    if row.name == ADMIN_NAME:
        raise KeyRefused("the key 'admin' is set by CITYBRAIN_ADMIN_KEY: change that and start again")
    if row.expires_at is not None and row.expires_at <= now:
        raise KeyRefused(f"the key {row.name!r} has expired; create a new one")
    key = new_secret(row.key_id)
    if row.revoked_at is not None or not await store.replace_secret(row.key_id, hash_of(key)):
        raise KeyRefused(f"the key {row.name!r} is revoked; create a new one")
    return NewKey(row, key)


async def ensure_admin_key(store: KeyStore, key: str) -> None:
    """Make `key` (CITYBRAIN_ADMIN_KEY) the key named `admin`; another value replaces the one before. Raises SettingsError."""
    if not await store.set_admin(uuid4(), ADMIN_NAME, hash_of(key)):
        raise SettingsError("CITYBRAIN_ADMIN_KEY is the text of another key: choose one of its own")


def duration(text: str) -> timedelta:
    """`90d`, `12h`, `30m`. Raises KeyRefused."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise KeyRefused(f"{text!r} is no duration: write a number and m, h or d, like 90d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise KeyRefused("a key's name is 1 to 64 characters on one line, without spaces around it")
    if name == ADMIN_NAME:
        raise KeyRefused("the name 'admin' belongs to the key that CITYBRAIN_ADMIN_KEY sets; choose another")


async def _found(store: KeyStore, name_or_id: str) -> KeyRow:
    row = await store.find(name_or_id)
    if row is None:
        raise KeyRefused(f"there is no key with the name or id {name_or_id!r}")
    return row
