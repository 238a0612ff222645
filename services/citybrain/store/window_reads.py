"""Reading the tables of windows in one snapshot. Called by the API and the state dump; decides nothing, writes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg

from citybrain.store.pool import Connection, Pool, translated
from citybrain.store.queries import load

_SQL = load("window_reads")
_TABLES = {"1m": "metric_window_1m", "1h": "metric_window_1h", "1d": "metric_window_1d"}
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


class Standing(NamedTuple):
    """The minimum watermark, None while a partition has none; and up to when hours and days are stored."""

    watermark: datetime | None
    final_through: datetime


class MetricRow(NamedTuple):
    """The unit of a metric and how its rows add up."""

    unit: str
    mode: int


class Window(NamedTuple):
    """A window with readings. Values are millionths; `part` and `weight` are millionths of these."""

    start: datetime
    readings: int
    sum: int
    min: int
    max: int
    latest: str
    part: int | None
    weight: int | None
    subjects: int
    revision: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What is read: stored rows of `series` under `parents`; open windows from the leaves of `leaf_parents`.

    `leaf_series` restricts those to an asset's own. `mode` is None for an asset, else how subjects combine.
    """

    series: tuple[int, ...]
    parents: tuple[int, ...]
    leaf_parents: tuple[int, ...] = ()
    leaf_series: tuple[int, ...] | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """A stretch of hours, or of the days that begin at `days`, that is made up when read. Before `hours_until` an asset's
    hours are used when `from_hours` is set; minutes make up the rest."""

    begin: datetime
    end: datetime
    hours_until: datetime
    from_hours: bool = False
    days: tuple[datetime, ...] | None = None


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Connection]:
    """A connection on which every statement sees the same state. Raises DatabaseUnavailable."""
    with translated():
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection


async def standing(connection: Connection) -> Standing:
    """Where the pipeline is in this snapshot."""
    row = await connection.fetchrow(_SQL["standing"])
    if row is None or row["final_through"] is None:
        return Standing(None, EARLIEST)
    return Standing(row["watermark"], row["final_through"])


async def find_metric(connection: Connection, name: str) -> MetricRow | None:
    """A metric that is in the database."""
    row = await connection.fetchrow(_SQL["metric"], name)
    return None if row is None else MetricRow(row["unit"], row["mode"])


async def area_series(connection: Connection, metric: str, areas: Sequence[str]) -> dict[str, int]:
    """The series of areas by code; an area that never had a reading has none."""
    rows = await connection.fetch(_SQL["area_series"], metric, list(areas))
    return {row["area"]: row["series_no"] for row in rows}


async def subject_series(connection: Connection, metric: str, subject: str) -> dict[str, int]:
    """An asset's series by area."""
    rows = await connection.fetch(_SQL["subject_series"], metric, subject)
    return {row["area"]: row["series_no"] for row in rows}


async def reporting(connection: Connection, metric: str, subjects: Sequence[str]) -> set[str]:
    """Those of the assets that have ever reported the metric."""
    return {row["subject"] for row in await connection.fetch(_SQL["reporting"], metric, list(subjects))}


async def stored(connection: Connection, step: str, scope: Scope, span: tuple[datetime, datetime], limit: int) -> list[Window]:
    """Stored windows that start in the span, the earliest first; those of several series (an asset seen in several areas)
    are added up."""
    series, rows_limit = list(scope.series), limit * len(scope.series)
    query = _SQL["stored"].format(table=_TABLES[step])
    rows = await connection.fetch(query, list(scope.parents), series, *span, rows_limit)
    windows = [_window(row) for row in rows]
    return windows if len(series) == 1 else _added_up(windows)[:limit]


def _added_up(windows: Iterable[Window]) -> list[Window]:
    """Windows of one asset with equal starts as one; they come in order."""
    found: list[Window] = []
    for one in windows:
        if found and found[-1].start == one.start:
            last = found[-1]
            found[-1] = one._replace(
                readings=last.readings + one.readings,
                sum=last.sum + one.sum,
                min=min(last.min, one.min),
                max=max(last.max, one.max),
                latest=max(last.latest, one.latest),
                subjects=last.subjects + one.subjects,
                revision=last.revision + one.revision,
            )
        else:
            found.append(one)
    return found


async def made_up(connection: Connection, scope: Scope, span: OpenSpan, limit: int) -> list[Window]:
    """Open windows of the span, computed from leaves, the earliest first."""
    rows = await connection.fetch(
        _SQL["open_windows"],
        list(scope.leaf_parents),
        None if scope.leaf_series is None else list(scope.leaf_series),
        span.begin,
        span.end,
        span.hours_until,
        None if span.days is None else list(span.days),
        scope.mode,
        span.from_hours,
        limit,
    )
    return [_window(row) for row in rows]


def _window(row: asyncpg.Record) -> Window:
    start, count, total, least, most, latest, part, weight, subjects, revision = row
    part, weight = part and int(part), weight and int(weight)
    return Window(start, count, int(total), least, most, latest, part, weight, subjects, revision)
