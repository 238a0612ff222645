"""Records of the topic to events, one call a batch. Called by aggregate.worker. Pure: no clock, no I/O.

What cannot be decoded is returned with its reason, not raised: one bad record never stops a good one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from citybrain.bus.port import Batch
from citybrain_schemas.topics import HEARTBEAT_TYPE


class Reading(msgspec.Struct, gc=False):
    """What an event says about one metric, in millionths of its unit."""

    metric: str
    micros: int
    numerator_micros: int | None = None
    weight_micros: int | None = None
    chain: str | None = None
    role: str | None = None


class Event(msgspec.Struct):
    """A record of `citybrain_schemas.topics.AcceptedEvent`; JSON parts stay the bytes that were accepted."""

    id: str
    source: str
    type: str
    time: datetime
    area: str
    data: msgspec.Raw
    fingerprint: str
    accepted_at: datetime
    readings: list[Reading]
    subject: str | None = None
    given_area: str | None = None
    personal: msgspec.Raw | None = None
    extensions: msgspec.Raw | None = None
    flags: list[str] | None = None


class Undecodable(NamedTuple):
    """A record that is no event, and why."""

    partition: int
    offset: int
    key: bytes
    type: str
    value: bytes
    reason: str


class Progress(NamedTuple):
    """What a partition's records say of time: the latest event or heartbeat, and the heartbeats in order."""

    next_offset: int
    latest: datetime | None
    heartbeats: tuple[datetime, ...]


class Decoded(NamedTuple):
    """A batch of batches, in the order of the log."""

    events: list[Event]
    undecodable: list[Undecodable]
    progress: dict[int, Progress]
    first_offsets: dict[int, int]
    records: int


class _Beat(msgspec.Struct):
    accepted_at: datetime


_events = msgspec.json.Decoder(list[Event])
_event = msgspec.json.Decoder(Event)
_beat = msgspec.json.Decoder(_Beat)
_MAX_MICROS = 10**15


def decode(batches: Sequence[Batch]) -> Decoded:
    """Decode what a fetch returned."""
    decoded = Decoded([], [], {}, {}, sum(len(batch.values) for batch in batches))
    for batch in batches:
        decoded.first_offsets.setdefault(batch.partition, batch.first_offset)
        before = decoded.progress.get(batch.partition, Progress(0, None, ()))
        events, beats, bad = _decode_batch(batch)
        decoded.events.extend(events)
        decoded.undecodable.extend(bad)
        latest = max(
            (moment for moment in (before.latest, *beats, *(min(e.time, e.accepted_at) for e in events)) if moment is not None),
            default=None,
        )
        decoded.progress[batch.partition] = Progress(batch.next_offset, latest, (*before.heartbeats, *beats))
    return decoded


def _decode_batch(batch: Batch) -> tuple[list[Event], list[datetime], list[Undecodable]]:
    """All events of one batch by one call; record by record only where that fails."""
    if HEARTBEAT_TYPE not in batch.types:
        try:
            events = _events.decode(b"[" + b",".join(batch.values) + b"]")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
        else:
            if len(events) == len(batch.values) and all(map(_sound, events)):
                return events, [], []
    return _one_by_one(batch)


def _one_by_one(batch: Batch) -> tuple[list[Event], list[datetime], list[Undecodable]]:
    events: list[Event] = []
    beats: list[datetime] = []
    bad: list[Undecodable] = []
    for offset, key, kind, value in _rows(batch):
        try:
            if kind == HEARTBEAT_TYPE:
                beats.append(_aware(_beat.decode(value).accepted_at))
            else:
                events.append(_checked(_event.decode(value)))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            bad.append(Undecodable(batch.partition, offset, key, kind, value, f"{type(error).__name__}: {error}"[:500]))
    return events, beats, bad


def _rows(batch: Batch) -> Iterator[tuple[int, bytes, str, bytes]]:
    for n, (key, kind, value) in enumerate(zip(batch.keys, batch.types, batch.values, strict=True)):
        yield batch.first_offset + n, key, kind, value


def _sound(event: Event) -> bool:
    return (
        event.time.tzinfo is not None
        and event.accepted_at.tzinfo is not None
        and len(event.fingerprint) == 32
        and all(-_MAX_MICROS <= reading.micros <= _MAX_MICROS for reading in event.readings)
    )


def _checked(event: Event) -> Event:
    _aware(event.time)
    _aware(event.accepted_at)
    bytes.fromhex(event.fingerprint)
    if not _sound(event):
        raise ValueError("a fingerprint of 16 bytes and readings within range are needed")
    return event


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment


def latest_watermark(progress: Progress, delay: timedelta) -> datetime | None:
    """The watermark that a batch's records give their partition: max of min(event time, accepted_at), less the delay."""
    return None if progress.latest is None else progress.latest - delay
