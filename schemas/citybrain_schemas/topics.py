"""The records on topic `city.events.v1`, for the roles that read it and for partners who consume it from Kafka.

Ingest alone writes them. A record's key is the event's subject, else its source; its header `type` is the event's type,
or `heartbeat`, so that readers can skip what they do not need. Times are UTC with six decimals; figures are integers,
millionths of the metric's own unit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from citybrain_schemas.envelope import ExtensionValue
from citybrain_schemas.instants import INSTANT_PATTERN, format_time, parse_time
from citybrain_schemas.readings import Role

EVENTS_TOPIC = "city.events.v1"
TYPE_HEADER = "type"
HEARTBEAT_TYPE = "heartbeat"
MAX_NAME_BYTES = 1750  # of id, source and subject together: an index row of PostgreSQL holds no more
OUTSIDE_AREA = "outside_area"  # a flag: the location is not in the area that the event gave


def _instant(value: object) -> datetime:
    text = format_time(value) if isinstance(value, datetime) and value.tzinfo is not None else value
    if (parsed := parse_time(text)) is None:
        raise PydanticCustomError("time", "must be a time such as 2026-11-23T00:15:02.000000Z")
    return parsed


Instant = Annotated[
    datetime,
    PlainValidator(_instant),
    PlainSerializer(format_time, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": INSTANT_PATTERN}),
]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AcceptedReading(_Record):
    """What the event says about one metric. A ratio has numerator and weight; pairs have a chain and a role."""

    metric: str
    micros: int
    numerator_micros: int | None = None
    weight_micros: int | None = None
    chain: str | None = None
    role: Role | None = None


class AcceptedEvent(_Record):
    """An event that was accepted and is kept. `data` is without what is `personal`; `area` is resolved and known."""

    id: str
    source: str
    type: str
    time: Instant
    subject: str | None = None
    area: str
    given_area: Annotated[str | None, Field(description="the area as posted, when it is another one")] = None
    data: dict[str, Any]
    personal: Annotated[dict[str, Any] | None, Field(description="the fields that are about a person")] = None
    extensions: dict[str, ExtensionValue] | None = None
    flags: list[str] | None = None
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    accepted_at: Instant
    readings: list[AcceptedReading]


class Heartbeat(_Record):
    """Time passes: every ingest process appends one to every partition every 5 s."""

    accepted_at: Instant
    ingest: Annotated[str, Field(description="which process")]
