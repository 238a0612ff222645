"""Roles of PostgreSQL that read the views and nothing else: for Grafana and analysts. Called by `citybrain readers` and migrate.

A role belongs to the server, not to a database: a migration that made one would need a right that the owner of a managed
database may lack, and a restored database would name a role that is not there. So people make it, once, and migrate only
takes care that whoever could read the views still can. Views work with their owner's rights: a reader needs none on tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from citybrain.errors import CitybrainError
from citybrain.store.pool import Connection, Pool, translated
from citybrain.store.queries import load

_SQL = load("readers")


class ReaderRefused(CitybrainError):
    """This role cannot be made a reader, or the database's user may not do it."""


class Added(NamedTuple):
    """Whether a role was made, and whether its limits could be set."""

    made: bool
    limited: bool


async def holders(connection: Connection) -> list[str]:
    """Everybody who was given a view."""
    return [row["name"] for row in await connection.fetch(_SQL["holders"])]


async def let_read(connection: Connection, roles: Sequence[str]) -> None:
    """Give these roles every view, those included that a migration has made anew."""
    for role in roles:
        await _run(connection, "grants", role)


async def add_reader(pool: Pool, role: str, verifier: str | None) -> Added:
    """Let a role read. `verifier` is its password in the server's form; None leaves the one that it has.

    Safe to repeat. Raises ReaderRefused, with what an administrator of the server has to do.
    """
    with translated():
        async with pool.acquire() as connection, connection.transaction():
            there = await connection.fetchval(_SQL["role"], role)
            if there and (more := await connection.fetch(_SQL["too_much"], role)):
                raise ReaderRefused(
                    f"{role} may do more than read views, for example with {more[0]['name']}: choose another name"
                )
            if verifier is not None:
                await _give_password(connection, role, verifier, made=not there)
            elif not there:
                raise ReaderRefused(f"there is no role {role}")
            limited = await _limit(connection, role)
            await _run(connection, "doors", role)
            await let_read(connection, [role])
            return Added(not there, limited)


async def _give_password(connection: Connection, role: str, verifier: str, *, made: bool) -> None:
    try:
        await connection.execute(await connection.fetchval(_SQL["make" if made else "give_password"], role, verifier))
    except asyncpg.InsufficientPrivilegeError as error:
        raise ReaderRefused(
            f"the database's user may not make roles or change them: have an administrator of the server run"
            f" `create role {role} login password '…'`, and try again with --keep-password"
        ) from error


async def _limit(connection: Connection, role: str) -> bool:
    """Set what keeps a role from harm; False where the database's user may not."""
    try:
        async with connection.transaction():
            await _run(connection, "limits", role)
    except asyncpg.InsufficientPrivilegeError:
        return False
    return True


async def remove_reader(pool: Pool, role: str) -> None:
    """Take the views back and drop the role. Raises ReaderRefused."""
    with translated():
        async with pool.acquire() as connection, connection.transaction():
            if role not in await holders(connection):
                raise ReaderRefused(f"{role} is no reader")
            try:
                await _run(connection, "revokes", role)
            except (asyncpg.InsufficientPrivilegeError, asyncpg.DependentObjectsStillExistError) as error:
                raise ReaderRefused(f"{role} cannot be dropped: {error}") from error


async def list_readers(pool: Pool) -> list[str]:
    """Their names."""
    with translated():
        async with pool.acquire() as connection:
            return await holders(connection)


async def _run(connection: Connection, name: str, role: str) -> None:
    """The statements that a query writes for a role: names of roles cannot be parameters."""
    for row in await connection.fetch(_SQL[name], role):
        await connection.execute(row["statement"])
