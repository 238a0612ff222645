"""Records of the topic to columns, a batch at a time. Called by aggregate.worker, in a thread. Pure: no clock, no I/O.

What cannot be decoded is returned with its reason, not raised: one bad record never stops a good one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple

import msgspec
import polars as pl

from citybrain.aggregate.columns import MAX_MICROS, event_columns, moment_of
from citybrain.aggregate.oddities import are_plain, are_sound, refuse
from citybrain.bus.port import Batch
from citybrain_schemas.instants import INSTANT_PATTERN
from citybrain_schemas.topics import HEARTBEAT_TYPE

_Figure = Annotated[int, msgspec.Meta(ge=-MAX_MICROS, le=MAX_MICROS)]


class Reading(msgspec.Struct, gc=False):
    """What an event says about one metric, in millionths of its unit."""

    metric: str
    micros: _Figure
    numerator_micros: _Figure | None = None
    weight_micros: _Figure | None = None
    chain: str | None = None
    role: str | None = None


_NOTHING = msgspec.Raw(b"")


class Event(msgspec.Struct):
    """A record of `citybrain_schemas.topics.AcceptedEvent`; JSON parts stay the bytes that were accepted."""

    id: str
    source: str
    type: str
    time: str
    area: str
    data: msgspec.Raw
    fingerprint: str
    accepted_at: str
    readings: list[Reading]
    subject: str | None = None
    given_area: str | None = None
    personal: msgspec.Raw = _NOTHING  # in a union with None, msgspec decodes no Raw
    extensions: msgspec.Raw = _NOTHING
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
    """What a partition's records say of time: the latest event or heartbeat, and the heartbeats in order. `position` is where
    the reader stood before them."""

    position: int
    next_offset: int
    latest: datetime | None
    heartbeats: tuple[datetime, ...]

    def watermark(self, delay: timedelta) -> datetime | None:
        """What these records say that their partition has passed; None when they say nothing of time."""
        return None if self.latest is None else self.latest - delay


class Decoded(NamedTuple):
    """What a fetch returned, in the order of the log. `events` and `readings` are the columns of aggregate.columns."""

    events: pl.DataFrame
    readings: pl.DataFrame
    undecodable: list[Undecodable]
    progress: dict[int, Progress]
    records: int


class _Beat(msgspec.Struct):
    accepted_at: str


class _Read(NamedTuple):
    events: list[Event]
    beats: list[datetime]
    bad: list[Undecodable]


_INSTANT = re.compile(INSTANT_PATTERN, re.ASCII).fullmatch
_FINGERPRINT = re.compile("[0-9a-f]{32}").fullmatch
_events = msgspec.json.Decoder(list[Event])
_event = msgspec.json.Decoder(Event)
_beat = msgspec.json.Decoder(_Beat)


def decode(batches: Sequence[Batch], positions: Mapping[int, int]) -> Decoded:
    """Decode what a fetch from these positions returned: a batch by one call, record by record only where that fails."""
    read = [_one_by_one(batch) if HEARTBEAT_TYPE in batch.types else _at_once(batch) for batch in batches]
    columns = event_columns([one.events for one in read])
    if not are_sound(columns):
        read = [_one_by_one(batch) for batch in batches]
        columns = event_columns([one.events for one in read])
    latest = dict(columns.events.group_by("batch").agg(pl.min_horizontal("at", "accepted").max()).iter_rows())
    progress: dict[int, Progress] = {}
    for n, (batch, one) in enumerate(zip(batches, read, strict=True)):
        before = progress.get(batch.partition, Progress(positions[batch.partition], 0, None, ()))
        times = [*([moment_of(latest[n])] if n in latest else []), *one.beats, *([before.latest] if before.latest else [])]
        progress[batch.partition] = Progress(
            before.position, batch.next_offset, max(times, default=None), (*before.heartbeats, *one.beats)
        )
    bad = [letter for one in read for letter in one.bad]
    return Decoded(columns.events, columns.readings, bad, progress, sum(len(batch.values) for batch in batches))


def _at_once(batch: Batch) -> _Read:
    text = b"[" + b",".join(batch.values) + b"]"
    try:
        text.decode()  # the parts that stay bytes, too
        events = _events.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _one_by_one(batch)
    if len(events) != len(batch.values) or not are_plain(events, text):
        return _one_by_one(batch)
    return _Read(events, [], [])


def _one_by_one(batch: Batch) -> _Read:
    found = _Read([], [], [])
    for n, value in enumerate(batch.values):
        try:
            value.decode()
            if batch.types[n] == HEARTBEAT_TYPE:
                found.beats.append(_moment(_beat.decode(value).accepted_at))
            else:
                found.events.append(_checked(_event.decode(value)))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"[:500]
            found.bad.append(Undecodable(batch.partition, batch.first_offset + n, batch.keys[n], batch.types[n], value, reason))
    return found


def _checked(event: Event) -> Event:
    _moment(event.time)
    _moment(event.accepted_at)
    if _FINGERPRINT(event.fingerprint) is None:
        raise ValueError("a fingerprint is 16 bytes in hexadecimal")
    refuse(event)
    return event


def _moment(text: str) -> datetime:
    """The one form of times on the topic: UTC with six decimals."""
    if _INSTANT(text) is None or text[11:13] == "24":  # which newer Pythons take for midnight
        raise ValueError(f"{text[:40]!r} is no time of the form 2026-11-23T00:15:02.000000Z")
    return datetime.fromisoformat(text)
