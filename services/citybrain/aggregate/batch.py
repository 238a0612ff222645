"""One batch, one transaction: which events are new, and every row they change. Called by aggregate.worker.

Order of the transaction: move the offsets (the fence), sources, identities, new events, conflicts, minutes of assets, pairs,
latest states, dirty rows, figures. A crash anywhere leaves nothing; a repeat of the whole changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from citybrain.aggregate.decode import Decoded, Event, latest_watermark
from citybrain.aggregate.watermark import gaps
from citybrain.aggregate.windows import (
    dirty_of,
    event_key,
    is_paired,
    micros_of,
    minutes,
    moment_of,
    paired_readings,
    series_of,
)
from citybrain.store import batches
from citybrain.store.batches import Figures, Identity, Move
from citybrain.store.dictionary import Dictionary, Series
from citybrain.store.pool import Connection
from citybrain_schemas.events import EVENT_TYPES


class Fenced(Exception):
    """Another owner has moved the offsets: drop the batch and read the positions again."""


@dataclass(slots=True)
class Sorted:
    """The events of a batch by what becomes of them."""

    new: list[Event] = field(default_factory=list)
    others: list[Event] = field(default_factory=list)  # of known identity, with other content
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What a batch needs besides its records."""

    topic: str
    zone: ZoneInfo
    watermark_delay: timedelta
    dictionary: Dictionary
    last_heartbeats: Mapping[int, datetime | None]


async def store_batch(connection: Connection, decoded: Decoded, context: BatchContext) -> Figures:
    """Store a decoded batch inside the caller's transaction. Raises Fenced."""
    if not await batches.move(connection, context.topic, _moves(decoded, context)):
        raise Fenced
    await batches.add_gaps(connection, context.topic, _gaps(decoded, context))
    await batches.add_dead_letters(connection, context.topic, decoded.undecodable)
    sources = await context.dictionary.number_sources(connection, {event.source for event in decoded.events})
    sorted_events = await _sort_out(connection, decoded.events, sources)
    conflicts = await batches.add_conflicts(connection, [_conflict_row(event, sources) for event in sorted_events.others])
    if sorted_events.new:
        await _store_new(connection, sorted_events.new, sources, context)
    dead = len(decoded.undecodable)
    figures = Figures(
        accepted=len(decoded.events) + dead,
        stored=len(sorted_events.new),
        repeated=sorted_events.repeated + len(sorted_events.others) - conflicts,
        conflicts=conflicts,
        dead=dead,
    )
    await batches.count(connection, context.topic, min(decoded.progress), figures)
    return figures


def _moves(decoded: Decoded, context: BatchContext) -> list[Move]:
    return [
        Move(
            partition,
            decoded.first_offsets[partition],
            progress.next_offset,
            latest_watermark(progress, context.watermark_delay),
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


async def _sort_out(connection: Connection, events: Sequence[Event], sources: Mapping[str, int]) -> Sorted:
    """Count each identity once: the first of the log wins, an equal one is a repeat, another content a conflict."""
    first: dict[tuple[int, str], Event] = {}
    for event in events:
        first.setdefault((sources[event.source], event.id), event)
    identities = [Identity(key[0], key[1], event.time, bytes.fromhex(event.fingerprint)) for key, event in first.items()]
    new = await batches.add_identities(connection, identities) if identities else set()
    known = [key for key in first if key not in new]
    standing = await batches.find_fingerprints(connection, known) if known else {}
    standing |= await batches.find_old_events(connection, [(*key, first[key].time, first[key].subject) for key in new])
    found = Sorted()
    for event in events:
        key = (sources[event.source], event.id)
        if first[key] is event and key not in standing:
            found.new.append(event)
        elif event.fingerprint == (standing[key].hex() if key in standing else first[key].fingerprint):
            found.repeated += 1
        else:
            found.others.append(event)
    return found


async def _store_new(connection: Connection, new: Sequence[Event], sources: Mapping[str, int], context: BatchContext) -> None:
    await batches.add_events(connection, (_event_row(event, sources) for event in new))
    await batches.add_personal(
        connection, [(sources[e.source], e.id, e.time, str(e.personal, "utf-8")) for e in new if e.personal is not None]
    )
    numbers = await context.dictionary.number_series(connection, _wanted_series(new))
    frame = minutes(new, numbers)
    await batches.add_minutes(connection, _minute_columns(frame))
    touched = set(frame.select("parent", "minute").iter_rows())
    touched |= await _store_pairs(connection, new, context.dictionary)
    await batches.put_assets(connection, _asset_rows(new))
    await batches.add_dirty(connection, sorted(dirty_of(touched, context.zone)))


def _wanted_series(events: Sequence[Event]) -> set[Series]:
    wanted = {series_of(event, reading.metric) for event in events for reading in event.readings if not is_paired(event, reading)}
    return wanted | {series.of_area for series in wanted}


async def _store_pairs(connection: Connection, new: Sequence[Event], dictionary: Dictionary) -> set[tuple[int, int]]:
    touched = await batches.add_pairs(connection, paired_readings(new))
    mine = {Series(metric, area, subject) for metric, subject, area, _ in touched}
    numbers = await dictionary.number_series(connection, mine | {series.of_area for series in mine})
    rows = [
        (metric, subject, area, start, numbers[Series(metric, area, subject)], numbers[Series(metric, area)])
        for metric, subject, area, start in touched
    ]
    return {(parent, micros_of(start)) for parent, start in await batches.derive_pairs(connection, rows)}


def _minute_columns(frame: pl.DataFrame) -> list[list[object]]:
    def text(name: str) -> list[object]:
        return frame[name].cast(pl.String).to_list()

    return [
        frame["series"].to_list(),
        [moment_of(minute) for minute in frame["minute"]],
        frame["parent"].to_list(),
        frame["count"].to_list(),
        text("sum"),
        frame["min"].to_list(),
        frame["max"].to_list(),
        frame["latest"].to_list(),
        text("part"),
        text("weight"),
        frame["subjects"].to_list(),
    ]


def _event_row(event: Event, sources: Mapping[str, int]) -> tuple[object, ...]:
    return (
        event.time,
        sources[event.source],
        event.id,
        event.type,
        event.subject,
        event.area,
        event.given_area,
        str(event.data, "utf-8"),
        None if event.extensions is None else str(event.extensions, "utf-8"),
        event.flags,
        bytes.fromhex(event.fingerprint),
        event.accepted_at,
    )


def _conflict_row(event: Event, sources: Mapping[str, int]) -> tuple[object, ...]:
    return (
        sources[event.source],
        event.id,
        bytes.fromhex(event.fingerprint),
        event.time,
        event.type,
        event.subject,
        event.area,
        str(event.data, "utf-8"),
        event.accepted_at,
    )


def _asset_rows(events: Sequence[Event]) -> list[tuple[object, ...]]:
    """The latest event of each asset and type in the batch."""
    latest: dict[tuple[str, str], tuple[str, Event]] = {}
    for event in events:
        kind = EVENT_TYPES.get(event.type)
        if event.subject is None or kind is None or not kind.sensor:
            continue
        order = f"{micros_of(event.time):016d}\x01{event_key(event)}"
        if (event.subject, event.type) not in latest or latest[event.subject, event.type][0] < order:
            latest[event.subject, event.type] = (order, event)
    return [
        (subject, kind, event.area, event.time, order, str(event.data, "utf-8"))
        for (subject, kind), (order, event) in latest.items()
    ]
