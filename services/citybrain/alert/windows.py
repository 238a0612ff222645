"""Windows [t - width, t) of scopes from their minutes, for any ticks at once. Called by ticks and worker. Pure: columns in, out.

A scope is whatever a rule looks at (an asset, an area), known here by a number, `series`. Sums are exact: differences of
running sums of 128 bits. Least and greatest values come from tables of powers of two (O(1) a window, whatever its width).

`value` of an area in a window of several minutes is what its subjects' own values in that window combine to. That cannot be
made from the area's minutes (`needs_leaves` says when); it is made from the minutes of the assets beneath it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

MINUTES: dict[str, type[pl.DataType]] = {
    "series": pl.Int32,  # the scope's number; several rows of one scope and minute are added up
    "minute": pl.Int64,  # since 1970
    "count": pl.Int64,
    "sum": pl.Int128,  # of millionths
    "min": pl.Int64,
    "max": pl.Int64,
    "latest": pl.String,  # as it is stored: sorts by (time, source, id), ends in the value
    "part": pl.Int128,  # millionths of millionths: trunc(part * 1000000) of the table
    "weight": pl.Int128,
    "subjects": pl.Int32,
}
ALL = frozenset({"value", "subjects", "count", "sum", "min", "max", "avg", "last", "expected"})
PREVIOUS = "previous_"
TOTAL, _MEAN, _MAX, RATIO = 0, 2, 3, 4  # of `metric.mode`
_MICRO = 1_000_000
_DECIMALS = ("sum", "min", "max", "avg", "last", "value")
_SHIFT = 1 << 40  # more than any minute: a scope and a minute are one sortable number
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Source:
    """What windows are made of. `minutes` is of MINUTES, rows with readings (`as_minutes`).

    `leaves`: minutes of the assets beneath areas, with `member`, the asset's own number, besides `series`, the area's; where
    it is given, `value` and `subjects` come from it. `expected`: series, tick, expected. `mode` is that of the metric; `area`
    says whether scopes are areas.
    """

    minutes: pl.DataFrame
    mode: int
    area: bool
    leaves: pl.DataFrame | None = None
    expected: pl.DataFrame | None = None


def needs_leaves(columns: Collection[str], width: int, mode: int, *, area: bool) -> bool:
    """Whether these columns of windows of areas have to be made from the assets' minutes."""
    return area and width > 1 and ("subjects" in columns or ("value" in columns and mode != TOTAL))


def as_minutes(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the types of MINUTES: numbers may come as text, columns that nobody asks for may be missing."""
    extra = [pl.col("member").cast(pl.Int32)] if "member" in rows.columns else []
    kinds = [
        pl.col(name).cast(kind) if name in rows.columns else pl.lit(None, kind).alias(name) for name, kind in MINUTES.items()
    ]
    return rows.select(*kinds, *extra).filter(pl.col("count") > 0)


def windows(asked: pl.DataFrame, source: Source, width: int, columns: Collection[str]) -> pl.DataFrame:
    """For rows (series, tick) the columns of the window that ends there, row by row as asked.

    Names are those of rules; `previous_avg` … of the window one earlier. Counts are Int64, other figures Float64 (the
    nearest to the decimal), null where nothing was read. `has_data` says whether anything was.
    """
    series, tick = asked["series"].cast(pl.Int64).to_numpy(), asked["tick"].cast(pl.Int64).to_numpy()
    table = _Table(source.minutes)
    now = {name for name in columns if not name.startswith(PREVIOUS)}
    before = {name.removeprefix(PREVIOUS) for name in columns if name.startswith(PREVIOUS)}
    found = _window(table, source, (series, tick), width, now)
    if before:
        earlier = _window(table, source, (series, tick - width), width, before)
        found = found.hstack(earlier.select(pl.col(name).alias(PREVIOUS + name) for name in sorted(before)))
    return found


class _Table:
    """Minutes in order of (scope, minute), one row each, with running sums."""

    def __init__(self, minutes: pl.DataFrame, by: str = "series") -> None:
        rows = minutes.sort(by, "minute")
        keys = _keys(rows[by].cast(pl.Int64).to_numpy(), rows["minute"].to_numpy())
        if len(keys) and (keys[1:] == keys[:-1]).any():
            rows = _added_up(rows, by)
            keys = _keys(rows[by].cast(pl.Int64).to_numpy(), rows["minute"].to_numpy())
        self.rows, self.keys = rows, keys
        self._running: dict[str, pl.Series] = {}

    def bounds(self, series: Index, begin: Index, end: Index) -> tuple[Index, Index]:
        """The rows of [begin, end) as half-open ranges."""
        return np.searchsorted(self.keys, _keys(series, begin)), np.searchsorted(self.keys, _keys(series, end))

    def total(self, name: str, low: Index, high: Index) -> pl.Series:
        """Exact sums of a column over ranges."""
        if name not in self._running:
            column = self.rows[name].cast(pl.Int128).fill_null(0)
            self._running[name] = pl.concat([pl.Series(name, [0], pl.Int128), column]).cum_sum()
        running = self._running[name]
        return running.gather(high) - running.gather(low)

    def extreme(self, name: str, low: Index, high: Index) -> pl.Series:
        """Least (`min`) or greatest (`max`) values over ranges; null where a range is empty."""
        values = self.rows[name].to_numpy()
        pick = np.minimum if name == "min" else np.maximum
        length = high - low
        found = np.zeros(len(low), np.int64)
        level, reach = 0, values
        while (chosen := (length >= 1 << level)).any():
            exact = chosen & (length < 2 << level)
            found[exact] = pick(reach[low[exact]], reach[high[exact] - (1 << level)])
            step = 1 << level
            reach = pick(reach[:-step], reach[step:]) if len(reach) > step else reach[:0]
            level += 1
        return pl.select(pl.when(pl.Series(length > 0)).then(pl.Series(found)).alias(name)).to_series()

    def newest(self, name: str, high: Index) -> pl.Series:
        """A column of the last row of ranges that are not empty."""
        return self.rows[name].gather(np.maximum(high - 1, 0)) if self.rows.height else _nulls(name, len(high), MINUTES[name])


def _keys(series: Index, minute: Index) -> Index:
    return series * _SHIFT + minute


def _added_up(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """A scope's several rows of a minute (an asset seen in two areas) as one."""
    sums = pl.col("count", "sum", "part", "weight", "subjects").sum()
    return rows.group_by(by, "minute", maintain_order=True).agg(sums, pl.col("min").min(), pl.col("max", "latest").max())


def _window(table: _Table, source: Source, at: tuple[Index, Index], width: int, columns: Collection[str]) -> pl.DataFrame:
    series, tick = at
    low, high = table.bounds(series, tick - width, tick)
    asked = pl.DataFrame({"series": series, "tick": tick})
    found = asked.with_columns(pl.Series("has_data", high > low), table.total("count", low, high).cast(pl.Int64).alias("count"))
    if not {"sum", "avg", "value"}.isdisjoint(columns):
        found = found.with_columns(table.total("sum", low, high).alias("sum"))
    if "avg" in columns:
        found = found.with_columns(half_even(pl.col("sum"), pl.col("count")).alias("avg"))
    for name in {"min", "max"}.intersection(columns):
        found = found.with_columns(table.extreme(name, low, high).alias(name))
    if "last" in columns:
        found = found.with_columns(_value_of(table.newest("latest", high)).alias("last"))
    if not {"value", "subjects"}.isdisjoint(columns):
        found = _with_value(found, table, high, source, width)
    return _as_rules_see(found, source, columns)


def _with_value(found: pl.DataFrame, table: _Table, high: Index, source: Source, width: int) -> pl.DataFrame:
    """With `value` in millionths and `subjects`."""
    total = pl.col("sum") if "sum" in found.columns else pl.lit(None, pl.Int128)
    if not source.area:
        value = total if source.mode == TOTAL else half_even(total, pl.col("count"))
        return found.with_columns(value.alias("value"), pl.lit(1, pl.Int64).alias("subjects"))
    if source.leaves is not None:
        return _from_leaves(found, source.leaves, source.mode, width)
    if width > 1:
        value = total if source.mode == TOTAL else pl.lit(None, pl.Int128)
        return found.with_columns(value.alias("value"), pl.lit(None, pl.Int64).alias("subjects"))
    parts = [table.newest(name, high).alias(name) for name in ("part", "weight", "subjects")]
    return found.with_columns(parts).with_columns(_combined(source.mode).alias("value"))


def _from_leaves(found: pl.DataFrame, leaves: pl.DataFrame, mode: int, width: int) -> pl.DataFrame:
    """Each asset's own value in the window, combined: as the minutes, hours and days of areas are made."""
    members = leaves.select(pl.col("series").cast(pl.Int64), pl.col("member").cast(pl.Int64)).unique()
    pairs = found.select("series", "tick").unique().join(members, on="series")
    table = _Table(leaves.unique(["member", "minute"]), "member")
    low, high = table.bounds(pairs["member"].to_numpy(), pairs["tick"].to_numpy() - width, pairs["tick"].to_numpy())
    sums = [table.total(name, low, high).alias(name) for name in ("count", "sum", "part", "weight")]
    own = {TOTAL: pl.col("sum") * _MICRO, RATIO: _half_away(pl.col("part"), pl.col("count"))}
    share = own.get(mode, _half_away(pl.col("sum") * _MICRO, pl.col("count")))
    part = pl.col("part").max() if mode == _MAX else pl.col("part").sum()
    combined = (
        pairs.with_columns(*sums, table.newest("subjects", high).alias("subjects"))
        .filter(pl.col("count") > 0)
        .with_columns(share.alias("part"), _half_away(pl.col("weight"), pl.col("count")).alias("weight"))
        .group_by("series", "tick")
        .agg(part, pl.col("weight").sum(), pl.col("subjects").sum())
        .select("series", "tick", _combined(mode).alias("value"), "subjects")
    )
    return found.join(combined, on=["series", "tick"], how="left", maintain_order="left")


def _combined(mode: int) -> pl.Expr:
    """`value` in millionths from what the subjects of an area add up to."""
    if mode == RATIO:
        weight = pl.col("weight")
        return pl.when(weight != 0).then(half_even(pl.col("part") * _MICRO, weight))
    if mode == _MEAN:
        subjects = pl.col("subjects")
        return pl.when(subjects > 0).then(half_even(pl.col("part"), subjects.cast(pl.Int128) * _MICRO))
    return half_even(pl.col("part"), pl.lit(_MICRO, pl.Int128))


def half_even(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """The nearest integer to a fraction with a positive denominator, the even one of two equally near."""
    above, below = numerator.cast(pl.Int128), denominator.cast(pl.Int128)
    below = pl.when(below > 0).then(below)
    whole = above // below
    rest = (above - whole * below) * 2
    up = (rest > below) | ((rest == below) & (whole % 2 == 1))
    return whole + up.cast(pl.Int128)


def _half_away(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """The nearest integer to a fraction, away from zero when two are equally near: as PostgreSQL rounds."""
    below = denominator.cast(pl.Int128)
    return numerator.sign() * ((numerator.abs() * 2 + below) // (below * 2))


def _value_of(latest: pl.Series) -> pl.Series:
    return latest.str.split("\x01").list.last().cast(pl.Int64)


def _as_rules_see(found: pl.DataFrame, source: Source, columns: Collection[str]) -> pl.DataFrame:
    """Decimals in place of millionths, nulls where there is no data."""
    decimals = [_decimal(found[name]) for name in _DECIMALS if name in columns]
    counts = [pl.col(name).cast(pl.Int64) for name in ("count", "subjects") if name in columns]
    some = (pl.when("has_data").then(one) for one in (*(pl.col(one.name) for one in decimals), *counts))
    shown = found.with_columns(decimals).select("series", "tick", "has_data", *some)
    if "expected" not in columns:
        return shown
    if source.expected is None:
        return shown.with_columns(pl.lit(None, pl.Int64).alias("expected"))
    wanted = source.expected.select(pl.col("series", "tick", "expected").cast(pl.Int64))
    return shown.join(wanted, on=["series", "tick"], how="left", maintain_order="left")


def _decimal(millionths: pl.Series) -> pl.Series:
    """The nearest floats. NumPy divides; Polars multiplies by the reciprocal, which makes 4.9999999999999996e-06 of 5."""
    return pl.Series(millionths.name, millionths.cast(pl.Float64).to_numpy() / _MICRO, nan_to_null=True)


def _nulls(name: str, length: int, kind: type[pl.DataType]) -> pl.Series:
    return pl.Series(name, [None] * length, kind)
