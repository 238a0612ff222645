"""Rows of `api_key`. Called by access. Never sees a key's text, only its hash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from citybrain.store.pool import Connection, Pool, translated
from citybrain.store.queries import load

_SQL = load("keys")


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key that lets somebody in now."""

    key_id: UUID
    name: str
    role: str
    source_prefix: str | None
    hash: bytes


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as people see it."""

    key_id: UUID
    name: str
    role: str
    source_prefix: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyStore:
    """Queries over a pool (services) or a connection (commands). Each raises DatabaseUnavailable."""

    def __init__(self, database: Pool | Connection) -> None:
        self._database = database

    async def live(self) -> list[LiveKey]:
        """Every key that is neither revoked nor expired."""
        with translated():
            return [LiveKey(*row.values()) for row in await self._database.fetch(_SQL["live_keys"])]

    async def all(self) -> list[KeyRow]:
        """Every key there ever was, by name."""
        with translated():
            return [KeyRow(*row.values()) for row in await self._database.fetch(_SQL["list_keys"])]

    async def find(self, name_or_id: str) -> KeyRow | None:
        """The key of this name, else of this id."""
        with translated():
            row = await self._database.fetchrow(_SQL["find_key"], name_or_id)
        return None if row is None else KeyRow(*row.values())

    async def create(self, key: LiveKey, expires_at: datetime | None) -> bool:
        """False when the name is taken."""
        values = (key.key_id, key.name, key.role, key.source_prefix, key.hash, expires_at)
        with translated():
            return await self._database.fetchval(_SQL["create_key"], *values) is not None

    async def set_admin(self, key_id: UUID, name: str, key_hash: bytes) -> bool:
        """Make or replace the admin key of the settings; False when another key has this hash."""
        for _ in range(2):  # processes that start together may all find no key: who was second finds it the second time
            with translated():
                try:
                    await self._database.execute(_SQL["set_admin_key"], key_id, name, key_hash)
                except asyncpg.UniqueViolationError:
                    continue
            return True
        return False

    async def revoke(self, key_id: UUID) -> None:
        """The key lets nobody in from now on."""
        with translated():
            await self._database.execute(_SQL["revoke_key"], key_id)

    async def replace_secret(self, key_id: UUID, key_hash: bytes) -> bool:
        """False when the key was revoked."""
        with translated():
            return await self._database.fetchval(_SQL["replace_secret"], key_id, key_hash) is not None
