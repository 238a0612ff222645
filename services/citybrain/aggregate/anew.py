"""Stored events to readings, and readings to minutes and pairs, once more. Called by aggregate.verify. Pure.

What a worker does batch by batch, in whatever order events arrive, is done here in the order of time, without the tables
that it keeps for late ones: both have to come to the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec
import polars as pl

from citybrain.aggregate.windows import event_key, is_paired, minutes, pair_chain
from citybrain.readings import Reading, readings_of
from citybrain.store.verify import OpenPair, Pair, StoredEvent
from citybrain_schemas.envelope import check_data
from citybrain_schemas.errors import ItemError
from citybrain_schemas.events import EVENT_TYPES

_READINGS = {
    "metric": pl.String, "micros": pl.Int64, "numerator": pl.Int64, "weight": pl.Int64, "chain": pl.String, "role": pl.String,
    "at": pl.Int64, "by": pl.String, "id": pl.String, "subject": pl.String, "area": pl.String,
}  # fmt: skip
_OPEN = {
    "metric": pl.String, "subject": pl.String, "chain": pl.String, "at": pl.Int64, "key": pl.String, "role": pl.String,
    "micros": pl.Int64,
}  # fmt: skip
_CHAIN = ("metric", "subject", "chain")
_IN_ORDER = ("at", "by", "id")

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Anew(NamedTuple):
    """What some events make: minutes of assets as aggregate.windows gives them, pairs, and what later events build on."""

    minutes: pl.DataFrame
    pairs: list[Pair]
    open: pl.DataFrame


def nothing_before(pairs: Sequence[OpenPair] = ()) -> pl.DataFrame:
    """The readings that the first events build on: none, or those whose events are no longer kept."""
    return pl.DataFrame(list(pairs), schema=_OPEN, orient="row")


def made_anew(events: Sequence[StoredEvent], before: pl.DataFrame) -> Anew:
    """Make all of the events of a stretch of whole minutes; `before` is `open` of the stretch before it."""
    readings = pl.DataFrame(list(_rows(events)), schema=_READINGS, orient="row").sort(_IN_ORDER)
    paired = is_paired().fill_null(value=False)
    both = pl.concat(
        [before, readings.filter(paired).with_columns(pair_chain().alias("chain"), event_key().alias("key"))], how="diagonal"
    ).sort(*_CHAIN, "at", "key")
    pairs = both.with_columns(_gain().alias("gain"), _reset().alias("reset")).filter(pl.col("by").is_not_null())
    gains = pairs.filter(pl.col("gain").is_not_null()).with_columns(pl.col("gain").alias("micros"), role=pl.lit(None, pl.String))
    whole = pl.concat([readings.filter(~paired), gains.select(_READINGS.keys())]).sort(_IN_ORDER)
    waiting = both.unique(_CHAIN, keep="last").filter(pl.col("role").is_in(["register", "started"])).select(_OPEN.keys())
    return Anew(minutes(whole), [Pair(*row) for row in pairs.select(Pair._fields).iter_rows()], waiting)


def _rows(events: Sequence[StoredEvent]) -> Iterator[tuple[object, ...]]:
    for event in events:
        for one in _readings(event):
            yield (
                one.metric, one.micros, one.numerator_micros, one.weight_micros, one.chain, one.role,
                event.at, event.source, event.id, event.subject, event.area,
            )  # fmt: skip


def _readings(event: StoredEvent) -> list[Reading]:
    """What the event says; nothing, when ingest would not have let it in: then what was made of it differs."""
    kind = EVENT_TYPES.get(event.type)
    if kind is None:
        return []
    try:
        data = check_data(kind, _decode(event.data))
    except (msgspec.MsgspecError, ArithmeticError, RecursionError):
        return []
    found = [] if isinstance(data, list) else readings_of(kind, data)
    return [] if isinstance(found, ItemError) else found


def _gain() -> pl.Expr:
    """What a reading adds in view of the one before it in its chain; null where it adds nothing."""
    role, micros = pl.col("role"), pl.col("micros")
    return (
        pl.when(role == "direct")
        .then(micros)
        .when((role == "register") & (micros >= _before("micros")))
        .then(micros - _before("micros"))
        .when((role == "ended") & (_before("role") == "started"))
        .then(pl.col("at") - _before("at"))
    )


def _reset() -> pl.Expr:
    """Whether a register has fallen."""
    return ((pl.col("role") == "register") & (pl.col("micros") < _before("micros"))).fill_null(value=False)


def _before(name: str) -> pl.Expr:
    return pl.col(name).shift(1).over(_CHAIN)
