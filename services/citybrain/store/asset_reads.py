"""Reading the states of assets and their silences. Called by the API; decides nothing, writes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("asset_reads")


class AssetState(NamedTuple):
    """The latest event of one type of an asset; `data` is JSON text."""

    subject: str
    type: str
    area: str
    time: datetime
    data: str


class Asked(NamedTuple):
    """An asset and the longest pause between its events of a type that is no silence."""

    subject: str
    type: str
    longest: timedelta


async def silences(
    connection: Connection, asked: Collection[Asked], begin: datetime, end: datetime
) -> dict[tuple[str, str], list[tuple[datetime | None, datetime | None]]]:
    """By (subject, type) in order: the readings before and after each silence that overlaps the stretch, None for none."""
    found: defaultdict[tuple[str, str], list[tuple[datetime | None, datetime | None]]] = defaultdict(list)
    subjects, types, longest = [one.subject for one in asked], [one.type for one in asked], [one.longest for one in asked]
    for row in await connection.fetch(_SQL["silences"], subjects, types, longest, begin, end):
        found[row["subject"], row["type"]].append((row["before"], row["after"]))
    return dict(found)


async def page(
    connection: Connection, after: tuple[str, str], areas: Iterable[str] | None, kind: str | None, limit: int
) -> list[AssetState]:
    """The states that follow (subject, type), of some areas and of one type."""
    wanted = None if areas is None else list(areas)
    return [AssetState(*row) for row in await connection.fetch(_SQL["asset_page"], *after, wanted, kind, limit)]


async def states_of(connection: Connection, subject: str) -> list[AssetState]:
    """Every state of one asset, by type."""
    return [AssetState(*row) for row in await connection.fetch(_SQL["asset_states"], subject)]


async def known(connection: Connection, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those (subject, type) that have a state."""
    subjects, types = [subject for subject, _ in keys], [kind for _, kind in keys]
    return {(row["subject"], row["type"]) for row in await connection.fetch(_SQL["asset_known"], subjects, types)}
