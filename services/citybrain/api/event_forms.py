"""How events and conflicts look in answers, and where an event went. Called by the event routes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from citybrain.api.params import json_text
from citybrain.api.steps import Step
from citybrain.city import City
from citybrain.store.event_reads import ConflictRow, EventRow, FedSeries
from citybrain_schemas.envelope import check_data
from citybrain_schemas.events import EVENT_TYPES
from citybrain_schemas.instants import format_time

_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def event_form(row: EventRow) -> dict[str, Any]:
    """An event as it was stored: its area resolved, without what is personal."""
    form = {
        "source": row.source,
        "id": row.id,
        "type": row.type,
        "time": format_time(row.time),
        "subject": row.subject,
        "area": row.area,
        "data": json_text(row.data),
        "flags": row.flags or [],
        "accepted_at": format_time(row.accepted_at),
    }
    if row.given_area is not None:
        form["given_area"] = row.given_area
    if row.extensions is not None:
        form["extensions"] = json_text(row.extensions)
    return form


def conflict_form(row: ConflictRow) -> dict[str, Any]:
    """A content that came under an identity that had another one already; it is not counted."""
    return {
        "source": row.source,
        "id": row.id,
        "type": row.type,
        "time": format_time(row.time),
        "subject": row.subject,
        "area": row.area,
        "data": json_text(row.data),
        "accepted_at": format_time(row.accepted_at),
        "seen": format_time(row.seen),
    }


def metrics_fed(row: EventRow, personal: str | None) -> list[str]:
    """The metrics that the event's payload says something about."""
    kind = EVENT_TYPES.get(row.type)
    if kind is None:
        return []
    data = _DECODER.decode(row.data)
    if personal is not None:
        data |= _DECODER.decode(personal)
    checked = check_data(kind, data)
    if isinstance(checked, list):  # stored by a version with other fields
        return list(kind.metrics)
    return sorted({reading.metric for reading in kind.read(checked)})


def windows_form(row: EventRow, fed: Iterable[FedSeries], city: City) -> list[dict[str, Any]]:
    """The windows of assets that hold the event's readings, and where each begins."""
    zone = city.settings.zone
    starts = {
        "1m": format_time(Step("1m", zone).floor(row.time)),
        "1h": format_time(Step("1h", zone).floor(row.time)),
        "1d": format_time(Step("1d", zone).floor(row.time)),
    }
    return [
        {"metric": one.metric, "area": one.area, "subject": one.subject, "source": one.source, "start": starts} for one in fed
    ]
