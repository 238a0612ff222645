"""Readings to the minutes of assets, and what those minutes make dirty. Called by aggregate.batch. Pure: columns in, out.

A reading belongs to the series of (metric, area, subject), or of (metric, area, source) when the event has no subject. Its
minute is [start, start + 1 min) in UTC by event time. Nothing is late here: an old reading just has an old minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from citybrain.city.local_time import day_starts_us, next_day_start
from citybrain.store.dictionary import Series

MINUTE, HOUR = 60_000_000, 3_600_000_000
PAIR_ROLES = ("register", "direct", "started", "ended")
_SEPARATOR = "\x01"  # sorts before every character that an attribute may hold


def with_events(readings: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Readings of these events with what is needed of them, in the order of (time, source, id)."""
    wanted = events.select("n", "order", "at", "area", "subject", "id", pl.col("source").alias("by"))
    return readings.join(wanted, on="n", how="inner").sort("order")


def is_paired() -> pl.Expr:
    """Whether a reading needs its partner. Without a subject there is nothing to pair it with."""
    return pl.col("role").is_in(PAIR_ROLES) & pl.col("subject").is_not_null()


def paired(readings: pl.DataFrame) -> list[tuple[object, ...]]:
    """Readings that need a partner: metric, subject, chain, at (µs), key, area, role, micros."""
    return (
        readings.filter(is_paired())
        .select("metric", "subject", pair_chain().alias("chain"), "at", event_key().alias("key"), "area", "role", "micros")
        .rows()
    )


def pair_chain() -> pl.Expr:
    """The chain that a reading's partner is found in: one a session, one for all registers of an asset's metric."""
    session = pl.col("role").is_in(["started", "ended"])
    return pl.when(session).then(pl.concat_str(pl.lit("session:"), pl.col("chain").fill_null(""))).otherwise(pl.col("role"))


def event_key() -> pl.Expr:
    """Orders events of one moment: source, then id, bytewise."""
    return pl.concat_str("by", pl.lit(_SEPARATOR), "id")


def minutes(readings: pl.DataFrame) -> pl.DataFrame:
    """A row for each series and minute; minutes in µs; sum, part and weight exact, as text."""
    source = pl.when(pl.col("subject").is_null()).then(pl.col("by"))
    value = pl.col("micros")
    grouped = (
        readings.filter(~is_paired().fill_null(value=False))
        .with_columns(source.alias("source"), (pl.col("at") // MINUTE * MINUTE).alias("minute"))
        .group_by(*Series._fields, "minute")
        .agg(
            pl.len().cast(pl.Int64).alias("count"),
            value.cast(pl.Int128).sum().alias("sum"),
            value.min().alias("min"),
            value.max().alias("max"),
            latest().last().alias("latest"),
            _sum_or_none("numerator").alias("part"),
            _sum_or_none("weight").alias("weight"),
        )
    )
    return grouped.with_columns(
        pl.col("sum", "part", "weight").cast(pl.String), pl.col("subject").is_not_null().cast(pl.Int32).alias("subjects")
    )


def latest() -> pl.Expr:
    """The column `latest` of windows: sorts by (time, source, id) and ends in the value."""
    at = pl.col("at").cast(pl.String).str.zfill(16)
    return pl.concat_str(at, pl.lit(_SEPARATOR), event_key(), pl.lit(_SEPARATOR), pl.col("micros").cast(pl.String))


def _sum_or_none(name: str) -> pl.Expr:
    """Exact sum; null where there is nothing to add (a metric without numerators)."""
    column = pl.col(name)
    return pl.when(column.count() > 0).then(column.cast(pl.Int128).sum())


def dirty_rows(parents: Sequence[int], starts: Sequence[int], zone: ZoneInfo) -> pl.DataFrame:
    """The rows above touched minutes, each once: step, start (µs) and series, for the minute, its hour and its local day."""
    touched = pl.DataFrame({"series": parents, "start": starts}, schema={"series": pl.Int32, "start": pl.Int64}).unique()
    hours = touched.with_columns(pl.col("start") // HOUR * HOUR).unique()
    days = touched.with_columns(pl.Series("start", day_starts_us(touched["start"].to_numpy(), zone))).unique()
    steps = zip(("1m", "1h", "1d"), (touched, hours, days), strict=True)
    return pl.concat([rows.select(pl.lit(step).alias("step"), "start", "series") for step, rows in steps])


def hour_start(at: datetime) -> datetime:
    """Hours are whole UTC hours."""
    return at.replace(minute=0, second=0, microsecond=0)


def end_of(step: str, start: datetime, zone: ZoneInfo) -> datetime:
    """When a window ends."""
    if step == "1m":
        return start + timedelta(minutes=1)
    return start + timedelta(hours=1) if step == "1h" else next_day_start(start, zone)
