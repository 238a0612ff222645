"""What changed and how far time has come, as alert reads it: change rows, series, minutes as columns. Called by alert's worker.

Everything works on the connection it is given, inside the caller's transaction; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import NamedTuple

import polars as pl

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("changes")
MANY_LOOKUPS = 200_000  # from so many (series, minute) on, whole minutes are read
MINUTE_COLUMNS: Mapping[str, type[pl.DataType]] = {
    "series": pl.Int32, "minute": pl.Int64, "count": pl.Int64, "sum": pl.String, "min": pl.Int64, "max": pl.Int64,
    "latest": pl.String, "part": pl.String, "weight": pl.String, "subjects": pl.Int64, "member": pl.Int32,
}  # fmt: skip


class Standing(NamedTuple):
    """How far alert has come: its pass, its last final tick, its rules; and the moment through which minutes are complete."""

    number: int
    final_through: datetime | None
    rule_version: int | None
    minutes_through: datetime | None


class Changes(NamedTuple):
    """Batches that were taken: minutes since 1970 of series, and of (subject, type) that spoke late."""

    series: list[int]
    minutes: list[int]
    late: list[tuple[str, str, int]]
    positions: dict[tuple[str, int], int]


class Lag(NamedTuple):
    """Batches and commands that wait, and final ticks that were not worked on."""

    waiting: int
    final_through: datetime | None
    ticks: int


class SeriesRow(NamedTuple):
    """A series of an asset (subject), of a source without a subject, or of an area (neither)."""

    number: int
    metric: str
    area: str
    subject: str | None
    source: str | None


class Wanted(NamedTuple):
    """Minutes [begins, ends) of a series (or of all assets that add to it), which become rows of `scope`."""

    scope: int
    series: int
    begins: int
    ends: int


async def standing(connection: Connection) -> Standing:
    """Where alert is."""
    row = await connection.fetchrow(_SQL["standing"])
    if row is None:
        raise AssertionError("alert_progress has one row")
    return Standing(row["pass"], row["final_through"], row["rule_version"], row["minutes_through"])


async def has_work(connection: Connection, rule_version: int, now: datetime) -> bool:
    """Whether a pass would find anything to do, silences aside."""
    return bool(await connection.fetchval(_SQL["has_work"], rule_version, now))


async def silence_ended(connection: Connection, types: Mapping[str, str]) -> bool:
    """Whether an asset has spoken that a live alert says is silent. `types`: what absence rules are about."""
    return bool(await connection.fetchval(_SQL["silence_ended"], list(types), list(types.values())))


async def stored(connection: Connection) -> int:
    """How many events were ever stored."""
    return int(await connection.fetchval(_SQL["stored"]))


async def advance(connection: Connection, number: int, final_through: datetime | None, rule_version: int | None) -> bool:
    """Compare and swap the pass. False: another owner was ahead, and this transaction has to be dropped."""
    return await connection.fetchval(_SQL["advance"], number, final_through, rule_version) is not None


async def take(connection: Connection, most_batches: int, most_entries: int) -> Changes:
    """The next batches of every writer, each writer's in their order."""
    found = Changes([], [], [], {})
    for row in await connection.fetch(_SQL["take"], most_batches, most_entries):
        found.series.extend(row["series"])
        found.minutes.extend(row["minutes"])
        found.late.extend(zip(row["late_subject"], row["late_type"], row["late_minute"], strict=True))
        found.positions[row["role"], row["partition"]] = row["batch"]
    return found


async def taken(connection: Connection, positions: Mapping[tuple[str, int], int]) -> None:
    """Go on behind these batches."""
    if positions:
        roles, partitions = [role for role, _ in positions], [partition for _, partition in positions]
        await connection.execute(_SQL["taken"], roles, partitions, list(positions.values()))


async def lag(connection: Connection) -> Lag:
    """What alert could work on now."""
    row = await connection.fetchrow(_SQL["lag"])
    if row is None:
        return Lag(0, None, 0)
    through, complete = row["final_through"], row["minutes_through"]
    ticks = 0 if complete is None else 1 if through is None else max(0, int((complete - through).total_seconds()) // 60)
    return Lag(int(row["waiting"]), through, ticks)


async def series(connection: Connection, numbers: Collection[int]) -> list[SeriesRow]:
    """What numbered series are."""
    return [SeriesRow(*row) for row in await connection.fetch(_SQL["series"], list(numbers))]


async def series_of_subjects(connection: Connection, metric: str, subjects: Collection[str]) -> list[SeriesRow]:
    """Series of assets, one for each area that an asset was seen in."""
    return [SeriesRow(*row) for row in await connection.fetch(_SQL["series_of_subjects"], metric, list(subjects))]


async def series_of_areas(connection: Connection, metric: str, areas: Collection[str]) -> list[SeriesRow]:
    """Areas' own series."""
    return [SeriesRow(*row) for row in await connection.fetch(_SQL["series_of_areas"], metric, list(areas))]


async def newest_minute(connection: Connection) -> datetime | None:
    """The last minute with a row."""
    found: datetime | None = await connection.fetchval(_SQL["newest_minute"])
    return found


async def modes(connection: Connection) -> dict[str, int]:
    """How the rows of every metric add up."""
    return {row["name"]: row["mode"] for row in await connection.fetch(_SQL["modes"])}


async def moving(connection: Connection, minutes: Sequence[int], leaf: bool, metrics: Sequence[str]) -> list[int]:
    """Series of metrics, of assets (`leaf`) or of areas, with a row in one of the minutes."""
    rows = await connection.fetch(_SQL["moving"], list(minutes), leaf, list(metrics))
    return [row["series"] for row in rows]


async def in_span(connection: Connection, begins: int, ends: int, leaf: bool, metrics: Sequence[str]) -> list[int]:
    """The same for the minutes [begins, ends)."""
    rows = await connection.fetch(_SQL["in_span"], begins, ends, leaf, list(metrics))
    return [row["series"] for row in rows]


async def every_series(connection: Connection, metric: str, leaf: bool) -> list[int]:
    """All series of a metric that ever were."""
    return [row["series_no"] for row in await connection.fetch(_SQL["every_series"], metric, leaf)]


async def minutes(connection: Connection, wanted: Sequence[Wanted], *, beneath: bool = False) -> pl.DataFrame:
    """Rows of minutes with readings, as MINUTE_COLUMNS: `series` is the scope, `member` the row's own series. With `beneath`
    the rows of all assets that add to a series."""
    if not wanted:
        return pl.DataFrame(schema=MINUTE_COLUMNS)
    lookups = sum(one.ends - one.begins for one in wanted)
    name = "leaf_minutes" if beneath else "minutes" if lookups < MANY_LOOKUPS else "many_minutes"
    begins, ends = min(one.begins for one in wanted), max(one.ends for one in wanted)
    text = BytesIO()
    columns = [list(column) for column in zip(*wanted, strict=True)]
    await connection.copy_from_query(_SQL[name], *columns, begins, ends, output=text, format="csv")
    if not text.tell():
        return pl.DataFrame(schema=MINUTE_COLUMNS)
    text.seek(0)
    return pl.read_csv(text, has_header=False, new_columns=list(MINUTE_COLUMNS), schema_overrides=dict(MINUTE_COLUMNS))


async def gaps(connection: Connection, begins: datetime, ends: datetime) -> list[tuple[datetime, datetime]]:
    """Stretches without a heartbeat that touch a span, in order; they may overlap."""
    return [tuple(row) for row in await connection.fetch(_SQL["gaps"], begins, ends)]
