"""The record of an accepted event on the topic, as bytes. Called by decide. Pure; its form is `topics.AcceptedEvent`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from citybrain.bus.port import Record
from citybrain.ingest.usual import UsualEvent
from citybrain.readings import Reading
from citybrain_schemas.canonical import fingerprint
from citybrain_schemas.envelope import CheckedEvent, Envelope, ExtensionValue


class EventRecord(msgspec.Struct, omit_defaults=True):
    """`topics.AcceptedEvent`. `given_area` is left out: a posted area is never replaced by another."""

    id: str
    source: str
    type: str
    time: msgspec.Raw
    area: str
    data: dict[str, Any]
    fingerprint: str
    accepted_at: str
    readings: list[Reading]
    subject: str | None = None
    personal: dict[str, Any] | None = None
    extensions: dict[str, ExtensionValue] | None = None
    flags: list[str] | None = None


_encode = msgspec.json.Encoder(decimal_format="number").encode
_WHOLE_SECONDS = len('"2026-11-23T00:15:02')


def make_record(event: CheckedEvent, area: str, flags: list[str] | None, readings: list[Reading], accepted_at: str) -> Record:
    """One record, placed by its subject, else by its source."""
    envelope = event.envelope
    data, personal = _apart(envelope.data, event.type.personal)
    value = EventRecord(
        envelope.id,
        envelope.source,
        envelope.type,
        json_instant(envelope.time),
        area,
        data,
        _fingerprint(envelope),
        accepted_at,
        readings,
        envelope.subject,
        personal,
        envelope.extensions,
        flags,
    )
    return Record((envelope.subject or envelope.source).encode(), envelope.type, _encode(value))


def usual_record(event: UsualEvent, time: datetime, area: str, readings: list[Reading], accepted_at: str) -> Record:
    """What `make_record` makes of an event without extensions, flags and anything about a person."""
    source, kind, subject, data = event.source, event.type, event.subject, event.data
    content = fingerprint(kind, time, subject, event.area, data).hex()
    value = EventRecord(event.id, source, kind, json_instant(time), area, data, content, accepted_at, readings, subject)
    return Record((subject or source).encode(), kind, _encode(value))


def json_instant(at: datetime) -> msgspec.Raw:
    """What `format_time` writes of a time in UTC, as JSON, in a tenth of the time."""
    text = _encode(at)
    return msgspec.Raw(text if at.microsecond else text[:_WHOLE_SECONDS] + b'.000000Z"')


def _fingerprint(envelope: Envelope) -> str:
    return fingerprint(envelope.type, envelope.time, envelope.subject, envelope.area, envelope.data).hex()


def _apart(data: dict[str, Any], personal: frozenset[str]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """What is about a person, and the rest."""
    if not personal or personal.isdisjoint(data):
        return data, None
    kept = {name: value for name, value in data.items() if name not in personal}
    return kept, {name: data[name] for name in personal if name in data}
