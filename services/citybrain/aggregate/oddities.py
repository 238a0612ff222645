"""What has the form of an event and yet cannot be kept, so that it would stop every event behind it. Called by decode. Pure.

Ingest lets none of it through: it comes from another version of ingest, or from somebody who writes to the topic himself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import polars as pl

from citybrain.aggregate.columns import MAX_CHAIN_BYTES, Columns
from citybrain.aggregate.modes import MODES
from citybrain_schemas.topics import MAX_NAME_BYTES

if TYPE_CHECKING:
    from citybrain.aggregate.decode import Event

EARLIEST, LATEST = "1970", "2200"  # `latest` of a window sorts by microseconds since 1970
_TIMES, _NAMES = ("time", "accepted_at"), ("id", "source", "type", "subject", "area", "given_area")
_KEY_NAMES = ("id", "source", "subject")
_CONTROL = b"\\u000"  # how JSON writes a NUL, and the separator of our own keys


def are_plain(events: Sequence[Event], text: bytes) -> bool:
    """Whether `refuse` finds nothing that columns do not show in the events, all decoded from `text`; when in doubt, False."""
    flags = [event.flags for event in events if event.flags]
    return _CONTROL not in text and all(map(str.isidentifier, chain.from_iterable(flags)))


def are_sound(columns: Columns) -> bool:
    """Whether every time has the one form of the topic, every fingerprint 16 bytes, and `refuse` finds nothing in columns."""
    events, readings = columns
    lengths = sum((pl.col(name).str.len_bytes().fill_null(0) for name in _KEY_NAMES), pl.lit(0))
    instants = ((pl.col(name) >= EARLIEST) & (pl.col(name) < LATEST) for name in _TIMES)
    texts = events.select(
        (pl.col("fingerprint").str.len_bytes() == 32).all()
        & (pl.col("at").null_count() == 0)
        & (pl.col("accepted").null_count() == 0)
        & pl.all_horizontal(*instants).all()
        & ~pl.any_horizontal(pl.col(_TIMES).str.contains(":60.", literal=True)).any()  # Polars takes a leap second
        & pl.col("fingerprint").str.contains("^[0-9a-f]*$").all()
        & ~pl.any_horizontal(pl.col(_NAMES) == "").any()
        & (lengths <= MAX_NAME_BYTES).all()
    ).item()
    known = readings.select(
        (pl.col("chain").str.len_bytes() <= MAX_CHAIN_BYTES).all() & pl.col("metric").unique().is_in(list(MODES)).all()
    ).item()
    return bool(texts and known)


def refuse(event: Event) -> None:
    """Raise ValueError, saying why, for an event that no table takes or that rollup would stumble over."""
    texts = (event.id, event.source, event.type, event.subject, event.area, event.given_area)
    if "" in texts:
        raise ValueError("a name is empty")
    chains = [reading.chain for reading in event.readings]
    if any("\0" in text or "\x01" in text for text in (*texts, *chains) if text is not None):
        raise ValueError("a text holds a control character that no column or key holds")
    names = (event.id, event.source, event.subject or "")
    if sum(len(name.encode()) for name in names) > MAX_NAME_BYTES or any(
        len(one.encode()) > MAX_CHAIN_BYTES for one in chains if one is not None
    ):
        raise ValueError(f"id, source and subject have more than {MAX_NAME_BYTES} bytes, or a chain more than {MAX_CHAIN_BYTES}")
    if not (EARLIEST <= event.time < LATEST and EARLIEST <= event.accepted_at < LATEST):
        raise ValueError(f"a time is not from {EARLIEST} to {int(LATEST) - 1}")
    unknown = [reading.metric for reading in event.readings if reading.metric not in MODES]
    if unknown:
        raise ValueError(f"this version knows no metric {unknown[0][:100]!r}")
    if not all(map(str.isidentifier, event.flags or ())):
        raise ValueError("a flag is not one plain word")
