"""Decide one item of a post: a record to append, or the reason why not. Called by http. Pure: the time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from citybrain.access import Principal
from citybrain.bus.port import Record
from citybrain.city import City
from citybrain.ingest.record import make_record, usual_record
from citybrain.ingest.usual import read_usual
from citybrain.readings import readings_of
from citybrain_schemas.envelope import CheckedEvent, Envelope, check_event
from citybrain_schemas.errors import ItemError, RejectCode
from citybrain_schemas.instants import format_time
from citybrain_schemas.topics import MAX_NAME_BYTES, OUTSIDE_AREA

MAX_AHEAD = timedelta(minutes=5)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  # windows order readings by microseconds since then
_UNKNOWN_AREA = ItemError(RejectCode.UNKNOWN_AREA, "area", "is not an area of this city")
_NOWHERE = ItemError(
    RejectCode.UNKNOWN_AREA, "area", "is needed: neither the roster nor a location says which area the event is of"
)
_OUTSIDE_CITY = ItemError(RejectCode.UNKNOWN_AREA, "data.location", "is in no unit grid of this city")
_FUTURE = ItemError(RejectCode.FUTURE_TIME, "time", "is more than 5 minutes ahead of the server's clock")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Under which a post is decided: made once a post, so that all its items are judged alike."""

    city: City
    source_prefix: str | None
    earliest: datetime
    latest: datetime
    accepted_at: str

    @classmethod
    def of(cls, city: City, principal: Principal, now: datetime) -> Circumstances:
        """`now` is aware."""
        horizon = timedelta(days=city.settings.horizon_days)
        return cls(city, principal.source_prefix, max(now - horizon, EARLIEST), now + MAX_AHEAD, format_time(now))


def decide(item: object, around: Circumstances) -> Record | ItemError:
    """The record of one decoded item, or the first thing wrong with it."""
    event = check_event(item)
    return event[0] if isinstance(event, list) else _judged(event, around)


def decide_usual(text: bytes | msgspec.Raw, around: Circumstances) -> Record | None:
    """The record that `decide` would make of the item's text, in half the time; None when only `decide` can tell."""
    found = read_usual(text)
    if found is None:
        return None
    event, kind, data, time = found
    subject, area, city = event.subject, event.area, around.city
    if area is None and subject is not None:
        area = city.roster.area_of(subject, time)
    if (
        area is None
        or not city.areas.known(area)
        or not around.earliest <= time <= around.latest
        or (around.source_prefix is not None and not event.source.startswith(around.source_prefix))
        or len(event.id) + len(event.source) + len(subject or "") > MAX_NAME_BYTES // 4
    ):
        return None
    readings = readings_of(kind, data)
    return None if isinstance(readings, ItemError) else usual_record(event, time, area, readings, around.accepted_at)


def _judged(event: CheckedEvent, around: Circumstances) -> Record | ItemError:
    """What the city, the key and the time say of an event that is right in itself."""
    refused = _not_admitted(event.envelope, around) or _not_held(event.envelope)
    if refused is not None:
        return refused
    area = _area_of(event, around.city)
    if isinstance(area, ItemError):
        return area
    readings = readings_of(event.type, event.data)
    if isinstance(readings, ItemError):
        return readings
    return make_record(event, area, _flags_of(event, around.city), readings, around.accepted_at)


def _not_admitted(envelope: Envelope, around: Circumstances) -> ItemError | None:
    """Why this key may not post it, or not at this time."""
    if around.source_prefix is not None and not envelope.source.startswith(around.source_prefix):
        return ItemError(RejectCode.FORBIDDEN_SOURCE, "source", "does not begin with the prefix that this key may post for")
    if envelope.time > around.latest:
        return _FUTURE
    if envelope.time < around.earliest:
        days = around.city.settings.horizon_days
        return ItemError(RejectCode.TOO_OLD, "time", f"is more than {days} days ago, the horizon of this city")
    return None


def _not_held(envelope: Envelope) -> ItemError | None:
    """Why its names cannot be kept: limits count characters, an index of the database counts bytes."""
    names = envelope.id + envelope.source + (envelope.subject or "")
    if len(names) * 4 <= MAX_NAME_BYTES or len(names.encode()) <= MAX_NAME_BYTES:
        return None
    detail = f"id, source and subject together must not be longer than {MAX_NAME_BYTES} bytes of UTF-8"
    return ItemError(RejectCode.INVALID_FIELD, "source", detail)


def _area_of(event: CheckedEvent, city: City) -> str | ItemError:
    """As given, else by the roster, else by the location."""
    envelope = event.envelope
    if envelope.area is not None:
        return envelope.area if city.areas.known(envelope.area) else _UNKNOWN_AREA
    if envelope.subject is not None:
        rostered = city.roster.area_of(envelope.subject, envelope.time)
        if rostered is not None:
            return rostered
    if event.data.location is None:
        return _NOWHERE
    lon, lat = map(float, event.data.location.coordinates[:2])
    return city.places.grid_at(lon, lat, envelope.time) or _OUTSIDE_CITY


def _flags_of(event: CheckedEvent, city: City) -> list[str] | None:
    """A location outside the area that the event gave is kept, and told."""
    envelope = event.envelope
    if event.data.location is None or envelope.area is None:
        return None
    lon, lat = map(float, event.data.location.coordinates[:2])
    return None if city.places.within(envelope.area, lon, lat, envelope.time) else [OUTSIDE_AREA]
