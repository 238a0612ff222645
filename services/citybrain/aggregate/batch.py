"""One batch, one transaction: which events are new, and every row they change. Called by aggregate.worker.

Order of the transaction: move the offsets (the fence), gaps and dead letters, sources, identities, conflicts, new events,
minutes of assets, pairs, latest states, dirty rows, figures, the change that alert reads. A crash anywhere leaves nothing; a
repeat of the whole changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from citybrain.aggregate.announced import Announced
from citybrain.aggregate.columns import micros_of
from citybrain.aggregate.decode import Decoded
from citybrain.aggregate.newest import Newest
from citybrain.aggregate.watermark import gaps
from citybrain.aggregate.windows import MINUTE, dirty_rows, minutes, paired, with_events
from citybrain.loops import beside_the_loop
from citybrain.store import batches
from citybrain.store.batches import Change, Figures, Move
from citybrain.store.dictionary import Dictionary, Series, SeriesRows
from citybrain.store.pool import Connection
from citybrain_schemas.events import EVENT_TYPES

_SENSOR_TYPES = [name for name, kind in EVENT_TYPES.items() if kind.sensor]


class Fenced(Exception):
    """Another owner has moved the offsets: drop the batch and read the positions again."""


class Sorted(NamedTuple):
    """The events of a batch by what becomes of them."""

    new: pl.DataFrame
    others: pl.DataFrame  # of a known identity, with other content
    repeated: int


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What a batch needs besides its records."""

    topic: str
    zone: ZoneInfo
    watermark_delay: timedelta
    dictionary: Dictionary
    announced: Announced
    newest: Newest
    watermark: int  # the minimum before the batch, in µs
    last_heartbeats: Mapping[int, datetime | None]


async def store_batch(connection: Connection, decoded: Decoded, context: BatchContext) -> Figures:
    """Store a decoded batch inside the caller's transaction. Raises Fenced."""
    if not await batches.move(connection, context.topic, _moves(decoded, context)):
        raise Fenced
    await batches.add_gaps(connection, context.topic, _gaps(decoded, context))
    await batches.add_dead_letters(connection, context.topic, decoded.undecodable)
    found, conflicts, change = None, 0, Change()
    if decoded.events.height:
        numbers = await context.dictionary.number_sources(connection, decoded.events["source"].unique().to_list())
        events = decoded.events.with_columns(pl.col("source").replace_strict(numbers, return_dtype=pl.Int32).alias("source_no"))
        found = await _sort_out(connection, events, context.newest)
        conflicts = await batches.add_conflicts(connection, found.others)
        if found.new.height:
            change = await _store_new(connection, found.new, decoded.readings, context)
    figures = _figures(decoded, found, conflicts)
    await batches.finish(connection, context.topic, min(decoded.progress), figures, change)
    return figures


def _figures(decoded: Decoded, found: Sorted | None, conflicts: int) -> Figures:
    dead = len(decoded.undecodable)
    if found is None:
        return Figures(dead, 0, 0, 0, dead)
    repeated = found.repeated + found.others.height - conflicts
    return Figures(decoded.events.height + dead, found.new.height, repeated, conflicts, dead)


def _moves(decoded: Decoded, context: BatchContext) -> list[Move]:
    return [
        Move(
            partition,
            progress.position,
            progress.next_offset,
            progress.watermark(context.watermark_delay),
            max(progress.heartbeats, default=None),
        )
        for partition, progress in sorted(decoded.progress.items())
    ]


def _gaps(decoded: Decoded, context: BatchContext) -> list[tuple[int, datetime, datetime]]:
    return [
        (partition, begin, end)
        for partition, progress in decoded.progress.items()
        for begin, end in gaps(context.last_heartbeats.get(partition), progress.heartbeats)
    ]


def _first_of_each(events: pl.DataFrame) -> pl.DataFrame:
    return events.unique(["source_no", "id"], keep="first", maintain_order=True)


async def _sort_out(connection: Connection, events: pl.DataFrame, newest: Newest) -> Sorted:
    """Count each identity once: the first of the log wins, an equal one is a repeat, another content a conflict."""
    first = await beside_the_loop(events.height, _first_of_each, events)
    standing = await batches.add_identities(connection, first, try_new=newest.expects_new_identities(first.height))
    newest.saw_identities(len(standing))
    if not standing and first.height == events.height:
        return Sorted(events, events.clear(), 0)
    winners = dict(zip(first.select("source_no", "id").iter_rows(), first.select("n", "fingerprint").iter_rows(), strict=True))
    new: list[bool] = []
    others: list[bool] = []
    for n, source_no, key, content in events.select("n", "source_no", "id", "fingerprint").iter_rows():
        winner, winning_content = winners[source_no, key]
        known = standing.get((source_no, key))
        new.append(known is None and winner == n)
        others.append(not new[-1] and content != (known or winning_content))
    return Sorted(events.filter(new), events.filter(others), len(new) - sum(new) - sum(others))


class Shaped(NamedTuple):
    """New events and what follows from them, as columns: all that needs no numbers."""

    readings: pl.DataFrame
    minutes: pl.DataFrame
    series: SeriesRows  # of the rows of minutes
    assets: pl.DataFrame
    late: pl.DataFrame


def _shape(new: pl.DataFrame, readings: pl.DataFrame, watermark: int) -> Shaped:
    mine = with_events(readings, new)
    frame = minutes(mine)
    return Shaped(mine, frame, SeriesRows.of(frame), _assets(new), late_assets(new, watermark))


async def _store_new(connection: Connection, new: pl.DataFrame, readings: pl.DataFrame, context: BatchContext) -> Change:
    """Store new events and all that follows from them; what alert has to look at."""
    await batches.add_events(connection, new)
    await batches.add_personal(connection, new)
    shaped = await beside_the_loop(new.height, _shape, new, readings, context.watermark)
    numbers, parents = await context.dictionary.number_rows(connection, shaped.series)
    starts = shaped.minutes["minute"].to_list()
    await batches.add_minutes(
        connection, await beside_the_loop(len(numbers), _numbered, shaped.minutes, numbers, parents, context)
    )
    for number, parent, start in await _store_pairs(connection, shaped.readings, context.dictionary):
        numbers.append(number)
        parents.append(parent)
        starts.append(micros_of(start))
    await batches.put_assets(connection, shaped.assets)
    await batches.add_dirty(connection, await beside_the_loop(len(starts), _dirty, parents, starts, context))
    late = (shaped.late[name].to_list() for name in shaped.late.columns)
    return Change(numbers, [start // MINUTE for start in starts], *late)


def _numbered(frame: pl.DataFrame, series: list[int], parents: list[int], context: BatchContext) -> pl.DataFrame:
    """Minutes with their series' numbers, and whether they seem to be new."""
    minutes_since_1970 = (frame["minute"] // MINUTE).to_numpy()
    are_new = context.newest.are_new(np.array(series, np.int64), minutes_since_1970, context.dictionary.born)
    return frame.with_columns(
        pl.Series("series", series, dtype=pl.Int32), pl.Series("parent", parents, dtype=pl.Int32), pl.Series("is_new", are_new)
    )


def _dirty(parents: list[int], starts: list[int], context: BatchContext) -> pl.DataFrame:
    return context.announced.untold(dirty_rows(parents, starts, context.zone), context.watermark, context.zone)


async def _store_pairs(connection: Connection, readings: pl.DataFrame, dictionary: Dictionary) -> list[tuple[int, int, datetime]]:
    """Readings that need a partner; the (series, area series, minute) that changed."""
    touched = await batches.add_pairs(connection, paired(readings))
    names = [(metric, area, subject, None) for metric, subject, area, _ in touched]
    rows = SeriesRows.of(pl.DataFrame(names, schema=dict.fromkeys(Series._fields, pl.String), orient="row"))
    numbers, parents = await dictionary.number_rows(connection, rows)
    return await batches.derive_pairs(
        connection, [(*row, number, parent) for row, number, parent in zip(touched, numbers, parents, strict=True)]
    )


def late_assets(new: pl.DataFrame, watermark: int) -> pl.DataFrame:
    """The (subject, type, minute since 1970) in which assets spoke though the minute had ended by the watermark (µs)."""
    minute = pl.col("at") // MINUTE
    return (
        new.filter(_of_asset() & ((minute + 1) * MINUTE <= watermark)).select("subject", "type", minute.alias("minute")).unique()
    )


def _of_asset() -> pl.Expr:
    return pl.col("subject").is_not_null() & pl.col("type").is_in(_SENSOR_TYPES)


def _assets(new: pl.DataFrame) -> pl.DataFrame:
    """The latest event of each asset and type in the batch, with the key that orders it."""
    at = pl.col("at").cast(pl.String).str.zfill(16)
    return (
        new.filter(_of_asset())
        .sort("order")
        .unique(["subject", "type"], keep="last")
        .select(
            "subject", "type", "area", "at", pl.concat_str(at, "source", "id", separator="\x01").alias("latest"), "data"
        )
    )  # fmt: skip
