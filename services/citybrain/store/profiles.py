"""The profile as rows: its files byte for byte, and its areas for SQL. Called by runner and `city load`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("profile")
_LOCK = 0x70726F66  # "prof"


class StoredProfile(NamedTuple):
    """The current profile: its version and files."""

    version: str
    files: Mapping[str, bytes]


class AreaRow(NamedTuple):
    """One version of an area; None means without a bound."""

    code: str
    level: str
    parent: str | None
    name_en: str
    name_zh: str
    valid_from: datetime | None
    valid_to: datetime | None
    geometry: str


async def current_version(connection: Connection) -> str | None:
    """The version of the current profile; None before the first one."""
    row = await connection.fetchrow(_SQL["current"])
    return None if row is None else str(row["version"])


async def current_profile(connection: Connection) -> StoredProfile | None:
    """The current profile; None before the first one."""
    row = await connection.fetchrow(_SQL["current"])
    if row is None:
        return None
    files = await connection.fetch(_SQL["files"], row["profile_no"])
    return StoredProfile(row["version"], {file["name"]: file["content"] for file in files})


async def put_profile(connection: Connection, profile: StoredProfile, areas: Sequence[AreaRow]) -> None:
    """Make a profile the current one, in the caller's transaction."""
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
    number = await connection.fetchval(_SQL["add"], profile.version)
    await connection.executemany(_SQL["add_file"], [(number, name, content) for name, content in sorted(profile.files.items())])
    await connection.execute(_SQL["clear_areas"])
    await connection.execute(_SQL["add_areas"], *[list(column) for column in zip(*areas, strict=True)])


async def has_windows(connection: Connection) -> bool:
    """Whether there are windows that a change of the time zone would contradict."""
    return bool(await connection.fetchval(_SQL["has_windows"]))


async def rebuild(connection: Connection, longer: Iterable[tuple[str, datetime, int]]) -> None:
    """Drop everything derived and have rollup make it anew: its minutes, and the given (step, start, series)."""
    await connection.execute(_SQL["rebuild"])
    await connection.execute(_SQL["rebuild_longer"])
    await connection.execute(_SQL["reset_final"])
    await connection.copy_records_to_table("dirty", records=longer, columns=("step", "start", "series"))


async def leaf_minutes(connection: Connection) -> list[tuple[int, datetime]]:
    """The (area series, minute) in which assets have readings."""
    return [(row["parent"], row["start"]) for row in await connection.fetch(_SQL["leaf_minutes"])]
