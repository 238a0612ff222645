"""When assets spoke, as absence rules need it. Called by alert's worker, inside its transaction; decides nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("absences")


class SilentRow(NamedTuple):
    """An alert about a silence."""

    rule: str
    area: str
    source: str | None
    fired_at: datetime
    ended_at: datetime | None


class ArmedRow(NamedTuple):
    """So many assets of a source in an area have spoken."""

    source: str
    area: str
    assets: int


async def fallen(
    connection: Connection, kind: str, span: tuple[datetime, datetime], longer_than: timedelta, rule: str
) -> set[str]:
    """Assets that may have fallen silent after a reading in [begin, end], and are not said to be by a live alert of the rule."""
    return {row["subject"] for row in await connection.fetch(_SQL["fallen"], kind, *span, longer_than, rule)}


async def ended(connection: Connection, types: Mapping[str, str]) -> list[tuple[str, str]]:
    """(rule, subject) of live alerts of rules, given with the type they are about, whose assets have spoken since."""
    rows = await connection.fetch(_SQL["ended"], list(types), list(types.values()))
    return [(row["rule"], row["subject"]) for row in rows]


async def settling(connection: Connection, rule: str, by: datetime) -> set[str]:
    """Assets with alerts of which something is settled by a moment."""
    return {row["subject"] for row in await connection.fetch(_SQL["settling"], rule, by)}


async def readings(connection: Connection, kind: str, subjects: Collection[str], since: datetime) -> dict[str, list[datetime]]:
    """The times of assets' events: the last one before a moment, and all later ones, in order."""
    found: defaultdict[str, list[datetime]] = defaultdict(list)
    for row in await connection.fetch(_SQL["readings"], kind, list(subjects), since):
        found[row["subject"]].append(row["time"])
    return found


async def states(connection: Connection, kind: str, subjects: Collection[str]) -> dict[str, tuple[str, str]]:
    """(area, source) of the last events of assets."""
    return {row["subject"]: (row["area"], row["source"]) for row in await connection.fetch(_SQL["states"], kind, list(subjects))}


async def silent(connection: Connection, rules: Collection[str], begin: datetime, end: datetime) -> list[SilentRow]:
    """Silences of a span, as alerts tell them."""
    return [SilentRow(*row) for row in await connection.fetch(_SQL["silent"], list(rules), begin, end)]


async def armed(connection: Connection, kind: str) -> list[ArmedRow]:
    """Assets that have spoken, by source and area."""
    return [ArmedRow(*row) for row in await connection.fetch(_SQL["armed"], kind)]
