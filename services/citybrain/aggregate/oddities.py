"""What has the form of an event and yet cannot be kept, so that it would stop every event behind it. Called by decode. Pure.

Ingest lets none of it through: it comes from another version of ingest, or from somebody who writes to the topic himself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from citybrain.aggregate.columns import MAX_CHAIN_BYTES
from citybrain.aggregate.modes import MODES
from citybrain_schemas.topics import MAX_NAME_BYTES

if TYPE_CHECKING:
    from citybrain.aggregate.decode import Event

EARLIEST, LATEST = "1970", "2200"  # `latest` of a window sorts by microseconds since 1970
_CONTROL = b"\\u000"  # how JSON writes a NUL, and the separator of our own keys


def are_plain(events: Sequence[Event], text: bytes) -> bool:
    """Whether none of the events, all decoded from `text`, can be refused by `refuse`; when in doubt, False."""
    times = [event.time for event in events] + [event.accepted_at for event in events]
    flags = [event.flags for event in events if event.flags]
    return (
        _CONTROL not in text
        and min(times, default=EARLIEST) >= EARLIEST
        and max(times, default=EARLIEST) < LATEST
        and all(event.id and event.source and event.area and event.subject != "" for event in events)
        and MODES.keys() >= {reading.metric for event in events for reading in event.readings}
        and all(map(str.isidentifier, chain.from_iterable(flags)))
    )


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
