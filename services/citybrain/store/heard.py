"""When assets were heard of, read from their windows. Called by the API; decides nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("heard")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AssetSeries(NamedTuple):
    """A series of an asset, and the series of the area that it adds to."""

    subject: str
    metric: str
    series: int
    parent: int


class Heard(NamedTuple):
    """An hour or a minute in which an asset was heard: its first reading came between `low` and `high`, its last at `last`."""

    start: datetime
    low: datetime
    high: datetime
    last: datetime


class Look(NamedTuple):
    """Minutes [begins, ends) of one series; `asset` is the caller's number of the asset."""

    asset: int
    series: int
    parent: int
    begins: datetime
    ends: datetime


async def series_of(connection: Connection, subjects: Sequence[str]) -> list[AssetSeries]:
    """All series of assets."""
    return [AssetSeries(*row) for row in await connection.fetch(_SQL["series_of"], subjects)]


async def hours(
    connection: Connection,
    series: Iterable[tuple[int, int]],
    stretches: Iterable[tuple[datetime, datetime]],
    stored_until: datetime,
) -> list[tuple[int, Heard]]:
    """By asset, for (asset, series): hours with readings in stretches that begin and end with hours, and those around them."""
    assets, numbers = _columns(series, 2)
    begins, ends = _columns(stretches, 2)
    rows = await connection.fetch(_SQL["hours"], assets, numbers, begins, ends, stored_until)
    return [(row["asset"], _heard(row["start"], row["high"], row["last"], single=False)) for row in rows]


async def minutes(connection: Connection, looks: Iterable[Look]) -> list[tuple[int, Heard]]:
    """By asset: minutes with readings."""
    rows = await connection.fetch(_SQL["minutes"], *_columns(looks, 5))
    return [(row["asset"], _heard(row["start"], row["high"], row["last"], single=row["single"])) for row in rows]


async def first_of_minute(
    connection: Connection, asked: Iterable[tuple[int, str, str, datetime]]
) -> dict[tuple[int, datetime], datetime]:
    """The first event in a minute, for (asset, subject, type, minute); none where events are no longer kept."""
    rows = await connection.fetch(_SQL["first_of_minute"], *_columns(asked, 4))
    return {(row["asset"], row["start"]): row["time"] for row in rows}


def _columns(rows: Iterable[Sequence[object]], width: int) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _heard(start: datetime, high: int, last: int, *, single: bool) -> Heard:
    first = _EPOCH + timedelta(microseconds=high)
    return Heard(start, first if single else start, first, _EPOCH + timedelta(microseconds=last))
