"""The tables that aggregate writes in the one transaction of a batch. Called by aggregate.worker; decides nothing.

Every method works on the connection it is given, inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any, NamedTuple

import asyncpg
import polars as pl

from citybrain.loops import beside_the_loop
from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("batch")
_PAIRS = load("pairs")
ROLE = "aggregate"
STATEMENT_TIMEOUT = "30s"  # a batch's statements take fractions of a second each; one that hangs in a COPY is ended (hung.py)
_EVENT_COLUMNS = (
    "time", "source_no", "id", "type", "subject", "area", "given_area", "data", "extensions", "flags", "fingerprint",
    "accepted_at",
)  # fmt: skip
_MINUTE_COLUMNS = ("series", "parent", "minute", "count", "sum", "min", "max", "latest", "part", "weight", "subjects")


class Position(NamedTuple):
    """Where a role stands in a partition."""

    next_offset: int
    watermark: datetime | None
    last_heartbeat: datetime | None


class Move(NamedTuple):
    """A step of a partition from the expected offset to the next one, and what it says of time."""

    partition: int
    expected: int
    next_offset: int
    watermark: datetime | None
    heartbeat: datetime | None


class Figures(NamedTuple):
    """The five figures of a batch; accepted = stored + repeated + conflicts + dead."""

    accepted: int
    stored: int
    repeated: int
    conflicts: int
    dead: int


class Change(NamedTuple):
    """What alert has to look at, minutes since 1970: (series, minute) whose figures changed, and (subject, type, minute) of
    assets that spoke in a minute which was final already."""

    series: Sequence[int] = ()
    minutes: Sequence[int] = ()
    late_subjects: Sequence[str] = ()
    late_types: Sequence[str] = ()
    late_minutes: Sequence[int] = ()


async def open_positions(
    connection: Connection, topic: str, everything: Iterable[int], mine: Sequence[int]
) -> dict[int, Position]:
    """Where aggregate stands in the partitions that are mine.

    Made at 0 for all of the topic: nothing is final before each was read, be it by one that has not come yet.
    """
    await connection.execute(_SQL["open_positions"], ROLE, topic, list(everything))
    rows = await connection.fetch(_SQL["positions"], ROLE, topic, list(mine))
    return {row["partition"]: Position(row["next_offset"], row["watermark"], row["last_heartbeat"]) for row in rows}


async def move(connection: Connection, topic: str, moves: Sequence[Move]) -> bool:
    """Compare and swap the offsets. False: another owner was ahead, and this transaction has to be dropped."""
    await connection.execute(f"set local statement_timeout = '{STATEMENT_TIMEOUT}'")
    return len(await connection.fetch(_SQL["move"], ROLE, topic, *_columns(moves))) == len(moves)


async def finish(connection: Connection, topic: str, partition: int, figures: Figures, change: Change) -> None:
    """Add to the figures and tell alert what changed; a partition's row carries the figures, their sum is what counts."""
    numbers = [_array(pl.Series(column, dtype=pl.Int32)) for column in (change.series, change.minutes)]
    await connection.execute(_SQL["finish"], ROLE, topic, partition, *figures, *numbers, *change[2:])


async def add_gaps(connection: Connection, topic: str, gaps: Sequence[tuple[int, datetime, datetime]]) -> None:
    """Keep stretches without a heartbeat: (partition, from, to)."""
    if gaps:
        await connection.execute(_SQL["add_gaps"], topic, *_columns(gaps))


async def add_dead_letters(connection: Connection, topic: str, letters: Sequence[Sequence[object]]) -> None:
    """Keep undecodable records: (partition, offset, key, type, value, reason)."""
    if letters:
        await connection.execute(_SQL["add_dead_letters"], ROLE, topic, *_columns(letters))


async def add_identities(connection: Connection, first: pl.DataFrame, *, try_new: bool = False) -> dict[tuple[int, str], str]:
    """Put identities down; of those that were known already, the content that stands (hex).

    With `try_new` they are copied in first as if none was known: half the work where that is so, some of it twice where not.
    """
    standing: dict[tuple[int, str], str] = {}
    if not (try_new and await _copied(connection, "event_identity", _identity_rows, first)):
        columns = await _arrays(first, ("source_no", "id", "at", "fingerprint"), _by_identity)
        if _count(await connection.execute(_SQL["add_identities"], *columns)) < first.height:
            rows = await connection.fetch(_SQL["find_identities"], *columns[:2])
            standing = {(row["source_no"], row["id"]): row["fingerprint"] for row in rows}
    horizon: int | None = await connection.fetchval(_SQL["forgotten_before"])
    if horizon is not None:
        standing |= await _old_events(connection, first, horizon)
    return standing


def _by_identity(first: pl.DataFrame) -> pl.DataFrame:
    return first.sort("source_no", "id")


def _identity_rows(first: pl.DataFrame) -> pl.DataFrame:
    seen = pl.lit("now").alias("seen")  # the transaction's moment, as PostgreSQL reads it
    return _by_identity(first).select("source_no", "id", "time", _bytes("fingerprint"), seen)


async def _old_events(connection: Connection, first: pl.DataFrame, horizon: int) -> dict[tuple[int, str], str]:
    """Stored events of the same key (time, source, id) whose identities may have been forgotten."""
    old = first.filter(pl.col("at") < horizon)
    if not old.height:
        return {}
    columns = [old[name].to_list() for name in ("source_no", "id", "at", "subject")]
    rows = await connection.fetch(_SQL["find_old_events"], *columns, old["at"].min(), old["at"].max())
    return {(row["source_no"], row["id"]): row["fingerprint"] for row in rows}


async def add_events(connection: Connection, new: pl.DataFrame) -> None:
    """COPY new events: columns that Polars writes as text, without an object an event."""
    await _copy(connection, "event", _event_rows, new)


def _event_rows(new: pl.DataFrame) -> pl.DataFrame:
    return new.sort("subject", "at").select(*_EVENT_COLUMNS[:-2], _bytes("fingerprint"), "accepted_at")


async def add_personal(connection: Connection, new: pl.DataFrame) -> None:
    """Keep personal fields apart."""
    rows = new.filter(pl.col("personal").is_not_null()).select("source_no", "id", "time", pl.col("personal").alias("data"))
    if rows.height:
        await _copy(connection, "event_personal", _as_they_are, rows)


async def add_conflicts(connection: Connection, others: pl.DataFrame) -> int:
    """Keep other content under known identities; how many were not there yet."""
    if not others.height:
        return 0
    names = ("source_no", "id", "fingerprint", "at", "type", "subject", "area", "data", "accepted")
    return len(await connection.fetch(_SQL["add_conflicts"], *(others[name].to_list() for name in names)))


async def add_minutes(connection: Connection, rows: pl.DataFrame) -> None:
    """Add readings to minutes: the frame of aggregate.windows with `series` and `parent` (numbers) and `is_new`.

    Rows that seem to be new are copied in; where one was there after all, they are added like the others.
    """
    new, others = rows.filter("is_new"), rows.filter(~pl.col("is_new"))
    if new.height and not await _copied(connection, "metric_window_1m", _minute_rows, new):
        others = rows
    if others.height:
        await connection.execute(_SQL["add_minutes"], *await _arrays(others, _MINUTE_COLUMNS))


def _minute_rows(new: pl.DataFrame) -> pl.DataFrame:
    ordered = new.sort("minute", "series")
    start = pl.from_epoch("minute", time_unit="us").alias("start")
    return ordered.select("series", start, "parent", pl.lit(value=True).alias("leaf"), *_MINUTE_COLUMNS[3:])


async def put_assets(connection: Connection, assets: pl.DataFrame) -> None:
    """Latest states: subject, type, area, at, latest, data."""
    if assets.height:
        await connection.execute(_SQL["put_assets"], *await _arrays(assets, assets.columns))


async def add_pairs(connection: Connection, rows: Sequence[Sequence[object]]) -> list[tuple[str, str, str, datetime]]:
    """Put paired readings down; the (metric, subject, area, minute) that have to be derived anew."""
    if not rows:
        return []
    columns = _columns(rows)
    await connection.execute(_PAIRS["add"], *columns)
    return [tuple(row) for row in await connection.fetch(_PAIRS["touched"], *columns[:6])]


async def derive_pairs(connection: Connection, rows: Sequence[Sequence[object]]) -> list[tuple[int, int, datetime]]:
    """Make minutes anew: metric, subject, area, start, series, parent. The (series, parent, start) that changed."""
    if not rows:
        return []
    columns = _columns(rows)
    return [tuple(row) for row in await connection.fetch(_PAIRS["derive"], *columns, min(columns[3]), max(columns[3]))]


async def add_dirty(connection: Connection, rows: pl.DataFrame) -> None:
    """Tell rollup what to make again: step, start (µs), series."""
    if rows.height:
        await _copy(connection, "dirty", _dirty_rows, rows)


def _dirty_rows(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.from_epoch("start", time_unit="us"))


_Shape = Callable[[pl.DataFrame], pl.DataFrame]


def _as_they_are(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


async def _copied(connection: Connection, table: str, shape: _Shape, rows: pl.DataFrame) -> bool:
    """Copy rows that nobody has stored yet; False when one of them was there, and then none is copied.

    What follows a failure is done by the transaction itself, not by a savepoint in it: `find_identities` tells them apart.
    """
    await connection.execute("savepoint before_copy")
    try:
        await _copy(connection, table, shape, rows)
    except asyncpg.UniqueViolationError:
        await connection.execute("rollback to before_copy; release before_copy")
        return False
    await connection.execute("release before_copy")
    return True


async def _copy(connection: Connection, table: str, shape: _Shape, rows: pl.DataFrame) -> None:
    """COPY rows, once shaped, as CSV that Polars writes outside of Python's lock. Null is nothing, an empty text is quoted."""
    columns, text = await beside_the_loop(rows.height, _csv, shape, rows)
    await connection.copy_to_table(table, source=text, columns=columns, format="csv")


def _csv(shape: _Shape, rows: pl.DataFrame) -> tuple[list[str], BytesIO]:
    shaped, text = shape(rows), BytesIO()
    shaped.write_csv(text, include_header=False, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
    text.seek(0)
    return shaped.columns, text


async def _arrays(rows: pl.DataFrame, names: Iterable[str], shape: _Shape = _as_they_are) -> list[str]:
    """Columns of rows, once shaped, as PostgreSQL writes arrays."""

    def texts() -> list[str]:
        shaped = shape(rows)
        return [_array(shaped[name]) for name in names]

    return await beside_the_loop(rows.height, texts)


def _bytes(name: str) -> pl.Expr:
    """A column of hexadecimal text as COPY reads bytea."""
    return pl.concat_str(pl.lit("\\x"), name).alias(name)


def _count(tag: str) -> int:
    """How many rows a statement says it wrote."""
    return int(tag.rpartition(" ")[2])


def _array(column: pl.Series) -> str:
    """The text form of an array, which Polars writes outside of Python's lock and PostgreSQL reads as quickly as a binary one."""
    texts = column.cast(pl.String)
    if column.dtype == pl.String:
        quoted = texts.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
        texts = pl.select(pl.concat_str(pl.lit('"'), quoted, pl.lit('"'))).to_series()
    return f"{{{texts.fill_null('NULL').str.join(',').item()}}}"


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
