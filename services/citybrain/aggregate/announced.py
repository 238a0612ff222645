"""Which open hours and days rollup has been told of already. Called by aggregate.batch. Pure but for its memory.

An open hour stays in `dirty_later` until the watermark passes its end, so telling rollup once is enough. Only the owner of the
partitions raises their watermark, and always in the transaction that stores a batch: while it is not past the end of a window,
nobody has taken that window's row. What is late for a window is told every time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import polars as pl

from citybrain.aggregate.columns import micros_of, moment_of
from citybrain.aggregate.windows import HOUR
from citybrain.city.local_time import next_day_start

_KEY = ("step", "start", "series")
MAX_REMEMBERED = 1_000_000


def _nothing() -> pl.DataFrame:
    return pl.DataFrame(schema={"step": pl.String, "start": pl.Int64, "series": pl.Int32, "end": pl.Int64})


@dataclass(slots=True)
class Announced:
    """Rows (step, start, series) of open windows that were committed to `dirty` by this process."""

    _known: pl.DataFrame = field(default_factory=_nothing)
    _fresh: pl.DataFrame = field(default_factory=_nothing)
    _watermark: int = 0

    def untold(self, rows: pl.DataFrame, watermark: int, zone: ZoneInfo) -> pl.DataFrame:
        """Those dirty rows that rollup has to be told of; `watermark` is that before the batch, in µs."""
        longer = _with_ends(rows.filter(pl.col("step") != "1m"), zone)
        is_open = pl.col("end") > watermark
        self._fresh = longer.filter(is_open).join(self._known, on=_KEY, how="anti")
        self._watermark = watermark
        return pl.concat(
            [rows.filter(pl.col("step") == "1m"), *(part.select(_KEY) for part in (longer.filter(~is_open), self._fresh))]
        )

    def committed(self) -> None:
        """The transaction holds: remember, and forget what is no longer open."""
        if self._fresh.height:
            known = pl.concat([self._known, self._fresh]).filter(pl.col("end") > self._watermark)
            self._known = known if known.height <= MAX_REMEMBERED else _nothing()
        self._fresh = _nothing()

    def rolled_back(self) -> None:
        """The transaction is gone: nothing new was told."""
        self._fresh = _nothing()


def _with_ends(rows: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    starts = rows.filter(pl.col("step") == "1d")["start"].unique().to_list()
    ends = {start: micros_of(next_day_start(moment_of(start), zone)) for start in starts}
    day_end = pl.col("start").replace_strict(ends, default=None, return_dtype=pl.Int64)
    return rows.with_columns(pl.when(pl.col("step") == "1h").then(pl.col("start") + HOUR).otherwise(day_end).alias("end"))
