"""Decoded events as columns: what aggregate works with. Called by decode; its names are used by batch and windows. Pure.

`events`, a row an event: n (0, 1 …), batch, id, source, type, subject, area, given_area, data, personal, extensions (JSON
text), flags (PostgreSQL array text), fingerprint (hex), time and accepted_at (text), at and accepted (µs since 1970), order
(the rank by time, source, id). `readings`, a row a reading: n (of its event), metric, micros, numerator, weight, chain, role.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

if TYPE_CHECKING:
    from citybrain.aggregate.decode import Event

MAX_MICROS = 10**15
MAX_CHAIN_BYTES = 800
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FORM = "%Y-%m-%dT%H:%M:%S%.6fZ"
_READINGS = {
    "n": pl.UInt32, "metric": pl.String, "micros": pl.Int64, "numerator": pl.Int64, "weight": pl.Int64, "chain": pl.String,
    "role": pl.String,
}  # fmt: skip


class Columns(NamedTuple):
    """Events and their readings."""

    events: pl.DataFrame
    readings: pl.DataFrame


def event_columns(batches: Sequence[Sequence[Event]]) -> Columns:
    """Columns of decoded events, batch after batch."""
    events = [event for batch in batches for event in batch]
    columns: dict[str, list[str] | list[str | None]] = {
        "id": [event.id for event in events],
        "source": [event.source for event in events],
        "type": [event.type for event in events],
        "subject": [event.subject for event in events],
        "area": [event.area for event in events],
        "given_area": [event.given_area for event in events],
        "fingerprint": [event.fingerprint for event in events],
        "time": [event.time for event in events],
        "accepted_at": [event.accepted_at for event in events],
        "data": [str(event.data, "utf-8") for event in events],
        "personal": [str(event.personal, "utf-8") or None for event in events],
        "extensions": [str(event.extensions, "utf-8") or None for event in events],
        "flags": [None if event.flags is None else "{" + ",".join(event.flags) + "}" for event in events],
    }
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).with_columns(
        pl.Series("batch", [n for n, batch in enumerate(batches) for _ in batch], dtype=pl.UInt32),
        _instant("time").alias("at"),
        _instant("accepted_at").alias("accepted"),
    )
    return Columns(_ranked(frame.with_row_index("n")), _readings(events))


def _instant(name: str) -> pl.Expr:
    """µs since 1970; null where the text has not the one form of the topic."""
    return pl.col(name).str.to_datetime(_FORM, time_unit="us", strict=False).cast(pl.Int64)


def _ranked(frame: pl.DataFrame) -> pl.DataFrame:
    """With `order`: the rank by (time, source, id), the last two bytewise."""
    ranks = frame.select("n", "at", "source", "id").sort("at", "source", "id").with_row_index("order").select("n", "order")
    return frame.with_columns(ranks.sort("n")["order"])


def _readings(events: Sequence[Event]) -> pl.DataFrame:
    readings = [reading for event in events for reading in event.readings]
    columns: dict[str, list[int] | list[str] | list[int | None] | list[str | None]] = {
        "n": [n for n, event in enumerate(events) for _ in event.readings],
        "metric": [reading.metric for reading in readings],
        "micros": [reading.micros for reading in readings],
        "numerator": [reading.numerator_micros for reading in readings],
        "weight": [reading.weight_micros for reading in readings],
        "chain": [reading.chain for reading in readings],
        "role": [reading.role for reading in readings],
    }
    return pl.DataFrame(columns, schema=_READINGS)


def micros_of(moment: datetime) -> int:
    """µs since 1970; exact for every aware datetime."""
    return (moment - EPOCH) // _MICROSECOND


def moment_of(micros: int) -> datetime:
    """The other way round."""
    return EPOCH + timedelta(microseconds=micros)
