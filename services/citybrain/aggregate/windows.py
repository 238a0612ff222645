"""Readings to the minutes of assets, and what those minutes make dirty. Called by aggregate.worker. Pure: columns in, out.

A reading belongs to the series of (metric, area, subject), or of (metric, area, source) when the event has no subject. Its
minute is [start, start + 1 min) in UTC by event time. Nothing is late here: an old reading just has an old minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from citybrain.aggregate.decode import Event, Reading
from citybrain.city.local_time import day_start, next_day_start
from citybrain.store.dictionary import Series

_MINUTE_MICROS = 60_000_000
_QUARTER = timedelta(minutes=15)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PAIR_ROLES = frozenset({"register", "direct", "started", "ended"})


class PairedReading(NamedTuple):
    """A reading that means something only beside its predecessor in the chain."""

    metric: str
    subject: str
    chain: str
    time: datetime
    key: str
    area: str
    role: str
    micros: int


class Dirty(NamedTuple):
    """A row that rollup has to make again: of an area and, for hours and days, of the assets in it."""

    step: str
    start: datetime
    series: int


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970; exact for every datetime."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment_of(micros: int) -> datetime:
    """The other way round."""
    return EPOCH + timedelta(microseconds=micros)


def event_key(event: Event) -> str:
    """Orders events of one moment: source, then id, bytewise (no attribute holds a control character)."""
    return f"{event.source}\x01{event.id}"


def series_of(event: Event, metric: str) -> Series:
    """The series that a reading of an event feeds."""
    if event.subject is not None:
        return Series(metric, event.area, event.subject)
    return Series(metric, event.area, None, event.source)


def is_paired(event: Event, reading: Reading) -> bool:
    """Whether a reading needs its partner. Without a subject there is nothing to pair it with."""
    return reading.role in PAIR_ROLES and event.subject is not None


def paired_readings(events: Iterable[Event]) -> list[PairedReading]:
    """Those readings of events that need a partner."""
    return [
        PairedReading(
            reading.metric, event.subject, _chain(reading), event.time, event_key(event), event.area, reading.role, reading.micros
        )
        for event in events
        for reading in event.readings
        if event.subject is not None and reading.role is not None and is_paired(event, reading)
    ]


def _chain(reading: Reading) -> str:
    return f"session:{reading.chain}" if reading.role in {"started", "ended"} else str(reading.role)


def minutes(events: Sequence[Event], numbers: Mapping[Series, int]) -> pl.DataFrame:
    """One row for each series and minute, with minutes in µs and exact sums (Int128)."""
    series: list[int] = []
    parent: list[int] = []
    micros: list[int] = []
    values: list[int] = []
    latest: list[str] = []
    part: list[int | None] = []
    weight: list[int | None] = []
    subjects: list[int] = []
    for event in events:
        at = micros_of(event.time)
        prefix = f"{at:016d}\x01{event.source}\x01{event.id}\x01"
        for reading in event.readings:
            if is_paired(event, reading):
                continue
            mine = series_of(event, reading.metric)
            series.append(numbers[mine])
            parent.append(numbers[mine.of_area])
            micros.append(at)
            values.append(reading.micros)
            latest.append(f"{prefix}{reading.micros}")
            part.append(reading.numerator_micros)
            weight.append(reading.weight_micros)
            subjects.append(0 if event.subject is None else 1)
    frame = pl.DataFrame(
        {
            "series": series, "parent": parent, "at": micros, "value": values, "latest": latest, "part": part, "weight": weight,
            "subjects": subjects,
        },
        schema={
            "series": pl.Int64, "parent": pl.Int64, "at": pl.Int64, "value": pl.Int64, "latest": pl.String, "part": pl.Int64,
            "weight": pl.Int64, "subjects": pl.Int32,
        },
    )  # fmt: skip
    return _grouped(frame)


def _grouped(frame: pl.DataFrame) -> pl.DataFrame:
    value = pl.col("value")
    return frame.group_by("series", (pl.col("at") // _MINUTE_MICROS * _MINUTE_MICROS).alias("minute")).agg(
        pl.col("parent").first(),
        pl.len().cast(pl.Int64).alias("count"),
        value.cast(pl.Int128).sum().alias("sum"),
        value.min().alias("min"),
        value.max().alias("max"),
        pl.col("latest").max(),
        _sum_or_none("part"),
        _sum_or_none("weight"),
        pl.col("subjects").first(),
    )


def _sum_or_none(name: str) -> pl.Expr:
    """Exact sum; null where there is nothing to add (a metric without numerators)."""
    column = pl.col(name)
    return pl.when(column.count() > 0).then(column.cast(pl.Int128).sum()).alias(name)


def dirty_of(touched: Iterable[tuple[int, int]], zone: ZoneInfo) -> set[Dirty]:
    """The rows above touched minutes, given as (area series, minute in µs): its minute, hour and local day."""
    found: set[Dirty] = set()
    for parent, minute in set(touched):
        start = moment_of(minute)
        found.add(Dirty("1m", start, parent))
        found.add(Dirty("1h", hour_start(start), parent))
        found.add(Dirty("1d", _day_start(minute // 900_000_000, zone), parent))
    return found


def hour_start(at: datetime) -> datetime:
    """Hours are whole UTC hours."""
    return at.replace(minute=0, second=0, microsecond=0)


@lru_cache(maxsize=65_536)
def _day_start(quarter: int, zone: ZoneInfo) -> datetime:
    """The local day that holds a quarter of an hour (offsets of zones change at quarters at the finest)."""
    return day_start(EPOCH + quarter * _QUARTER, zone)


def end_of(step: str, start: datetime, zone: ZoneInfo) -> datetime:
    """When a window ends."""
    if step == "1m":
        return start + timedelta(minutes=1)
    return start + timedelta(hours=1) if step == "1h" else next_day_start(start, zone)
