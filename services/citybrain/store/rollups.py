"""The tables that rollup works on, in the one transaction of a pass. Called by aggregate.rollup; decides nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from citybrain.store.dictionary import SHARDS
from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("rollup")
_TABLES = {"1m": "metric_window_1m", "1h": "metric_window_1h", "1d": "metric_window_1d"}
_NEAR_S = 7 * 86_400
_Row = TypeVar("_Row")
_ORDERS = {"1m": "start, series", "1h": "series, start", "1d": "series, start"}


class Todo(NamedTuple):
    """A row of an area to be made from the rows whose parent it is."""

    series: int
    start: datetime
    parent: int
    mode: int


class Dirty(NamedTuple):
    """A row to be made; `handed_on` where another shard's change asks for it."""

    step: str
    start: datetime
    series: int
    handed_on: bool


class Progress(NamedTuple):
    """The minimum watermark over partitions, None while one has none; up to where hours and days are stored; up to where
    minutes were last said to be complete; and how far other shards have come with minutes, and with hours and days: None where
    that is not known, or where they have yet to make what was handed on to them."""

    watermark: datetime | None
    final_through: datetime
    minutes_through: datetime | None
    others_minutes: datetime | None
    others_final: datetime | None


async def progress(connection: Connection, shards: Collection[int]) -> Progress:
    """Where the pipeline stands, and the shards besides ours."""
    row = await connection.fetchrow(_SQL["progress"], list(shards), SHARDS)
    if row is None:
        raise AssertionError("rollup_state has one row")
    return Progress(*row)


async def shards_passed(
    connection: Connection, shards: Collection[int], minutes: datetime | None, final: datetime | None
) -> None:
    """Say how far our shards have come; None: as before."""
    await connection.execute(_SQL["shards_passed"], list(shards), minutes, final)


async def tell(connection: Connection, through: datetime | None, changed: Sequence[tuple[int, int]]) -> None:
    """Tell alert which (series, minute since 1970) of areas changed, and through when all minutes are complete."""
    await connection.execute(_SQL["tell"], through, [series for series, _ in changed], [minute for _, minute in changed])


async def take_dirty(connection: Connection, shards: Collection[int], limit: int) -> tuple[list[Dirty], bool]:
    """Take at most `limit` rows of these shards, each once, and whether there may be more."""
    rows = await connection.fetch(_SQL["take_dirty"], limit, list(shards), SHARDS)
    taken = [Dirty(row["step"], row["start"], row["series"], row["handed_on"]) for row in rows]
    return taken, sum(row["rows"] for row in rows) >= limit


async def is_dirty(connection: Connection) -> bool:
    """Whether anything is to be made now, in any shard."""
    return bool(await connection.fetchval(_SQL["is_dirty"]))


async def hand_on(connection: Connection, step: str, rows: Iterable[tuple[datetime, int]]) -> None:
    """Have other shards make (start, series)."""
    if columns := _columns(sorted(rows)):
        await connection.execute(_SQL["hand_on"], step, *columns)


async def put_later(connection: Connection, rows: Sequence[tuple[str, datetime, int, bool, datetime]]) -> None:
    """Keep (step, start, series, handed on, due) once each."""
    if rows:
        await connection.execute(_SQL["put_later"], *_columns(rows))


async def take_due(
    connection: Connection, shards: Collection[int], through: datetime, limit: int
) -> list[tuple[str, datetime, int, datetime]]:
    """Take at most `limit` (step, start, series, due) that ended by a moment, the earliest first."""
    return [tuple(row) for row in await connection.fetch(_SQL["take_due"], through, limit, list(shards), SHARDS)]


async def passed(connection: Connection, through: datetime) -> None:
    """Say that every hour and day that ended by this moment is stored."""
    await connection.execute(_SQL["passed"], through)


async def make_leaf_rows(
    connection: Connection, step: str, finer: str, rows: Sequence[tuple[int, datetime, datetime]], unread_from: datetime
) -> int:
    """Hours or days of the assets of areas: (area series, start, end), from rows of a finer step; how many changed.

    Nobody has read stored rows that start at `unread_from` or later.
    """
    query = _SQL["leaf_rows"].format(table=_TABLES[step], finer=_TABLES[finer])
    changed = 0
    for near in _near(rows, lambda row: row[1]):
        columns = _columns(near)
        changed += len(await connection.fetch(query, *columns, unread_from, min(columns[1]), max(columns[2])))
    return changed


async def make_area_rows(
    connection: Connection, step: str, rows: Sequence[Todo], unread_from: datetime | None
) -> list[tuple[int, datetime]]:
    """Rows of areas of one level; the (series, start) that changed. `unread_from`: see `make_leaf_rows`, None for minutes."""
    query = _SQL["area_rows"].format(table=_TABLES[step], order=_ORDERS[step])
    changed: list[tuple[int, datetime]] = []
    for near in _near(rows, lambda row: row.start):
        columns = _columns(near)
        found = await connection.fetch(query, *columns, unread_from, min(columns[1]), max(columns[1]))
        changed += [(row["series"], row["start"]) for row in found]
    return changed


def _near(rows: Sequence[_Row], start_of: Callable[[_Row], datetime]) -> Iterable[Sequence[_Row]]:
    """Rows in groups that are near in time, so that a statement looks into few partitions, whatever else is late."""
    groups: defaultdict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[int(start_of(row).timestamp()) // _NEAR_S].append(row)
    return groups.values()


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
