"""The envelope of an event: CloudEvents 1.0 with our rules. Called by ingest for every item, and by apps that post.

`check_envelope` accepts the common form by a few comparisons; whatever else comes is judged by `EventEnvelope`, the one
definition. Nothing here knows areas, keys or the time now: those checks are ingest's.
"""

from __future__ import annotations

import re
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from citybrain_schemas.areas import MAX_AREA_CODE_CHARS
from citybrain_schemas.errors import ItemError, RejectCode, item_errors
from citybrain_schemas.event_type import EventData, EventType
from citybrain_schemas.events import EVENT_TYPES
from citybrain_schemas.instants import MAX_TIME_CHARS, format_time, parse_time
from citybrain_schemas.values import Text, is_attribute

MAX_ID_CHARS = 256
MAX_SOURCE_CHARS = 1024
MAX_TYPE_CHARS = 128
MAX_SUBJECT_CHARS = 256
MAX_EXTENSIONS = 32
ExtensionValue = bool | int | str

_EXTENSION_TEXT = Text(1024, min_chars=0, allows=is_attribute)
_EXTENSION_NAME = re.compile("[a-z0-9]{1,64}").fullmatch
_JSON_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/(?:json|[\w!#$&^.+-]+\+json)(?:\s*;[^;]+)*", re.ASCII | re.IGNORECASE).fullmatch
_COMMON_NAMES = frozenset({"specversion", "id", "source", "type", "time", "subject", "area", "data", "datacontenttype"})
_COMMON_CONTENT = (None, "application/json")


def _time(value: object) -> datetime:
    text = format_time(value) if isinstance(value, datetime) and value.tzinfo is not None else value
    if (parsed := parse_time(text)) is None:
        raise PydanticCustomError("time", "must be an RFC 3339 time with seconds and an offset")
    return parsed


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PydanticCustomError("data", "must be a JSON object")
    return value


def _json_media_type(value: object) -> str:
    text = Text(MAX_TYPE_CHARS, allows=is_attribute).check(value)
    if _JSON_MEDIA_TYPE(text) is None:
        raise PydanticCustomError("content_type", "must be a JSON media type, such as application/json")
    return text


def _no_base64(value: object) -> None:
    if value is not None:
        raise PydanticCustomError("data_base64", "is not supported: post the payload as a JSON object in `data`")


def _extension_name(value: object) -> str:
    if not isinstance(value, str) or _EXTENSION_NAME(value) is None:
        raise PydanticCustomError("extension", "is no attribute: names of extensions are 1 to 64 of a-z and 0-9")
    return value


def _extension(value: object) -> ExtensionValue | None:
    if value is None or type(value) is bool or (type(value) is int and -(2**31) <= value < 2**31):
        return value
    if type(value) is not str:
        raise PydanticCustomError("extension", "must be true, false, a whole number of 32 bits, or text")
    return _EXTENSION_TEXT.check(value)


class EventEnvelope(BaseModel):
    """An event as it is posted. Attributes that are not named here are extensions, and are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[
        Annotated[str, PlainValidator(_extension_name), WithJsonSchema({"type": "string", "pattern": "^[a-z0-9]+$"})],
        Annotated[
            ExtensionValue | None,
            PlainValidator(_extension),
            WithJsonSchema({"type": ["boolean", "integer", "string", "null"]}),
        ],
    ] = Field(init=False)

    specversion: Literal["1.0"]
    id: Annotated[str, Text(MAX_ID_CHARS, allows=is_attribute)]
    source: Annotated[str, Text(MAX_SOURCE_CHARS, allows=is_attribute)]
    type: Annotated[str, Text(MAX_TYPE_CHARS, allows=is_attribute)]
    time: Annotated[
        datetime,
        PlainValidator(_time),
        PlainSerializer(format_time, when_used="json"),
        WithJsonSchema({"type": "string", "format": "date-time", "maxLength": MAX_TIME_CHARS}),
    ]
    subject: Annotated[str, Text(MAX_SUBJECT_CHARS, allows=is_attribute)] | None = None
    area: Annotated[str, Text(MAX_AREA_CODE_CHARS, allows=is_attribute)] | None = None
    datacontenttype: (
        Annotated[str, PlainValidator(_json_media_type), WithJsonSchema({"type": "string", "maxLength": MAX_TYPE_CHARS})] | None
    ) = None
    dataschema: Annotated[str, Text(MAX_SOURCE_CHARS, allows=is_attribute)] | None = None
    data_base64: Annotated[None, PlainValidator(_no_base64), WithJsonSchema({"type": "null"})] = None
    data: Annotated[dict[str, Any], PlainValidator(_object), WithJsonSchema({"type": "object"})]

    @model_validator(mode="after")
    def _few_extensions(self) -> EventEnvelope:
        if len(self.__pydantic_extra__) > MAX_EXTENSIONS:
            raise PydanticCustomError("extensions", f"has more than {MAX_EXTENSIONS} extension attributes")
        return self


class Envelope(NamedTuple):
    """A checked envelope. `data` is an object whose fields are not checked yet; `extensions` are as posted."""

    id: str
    source: str
    type: str
    time: datetime  # UTC
    subject: str | None
    area: str | None
    data: dict[str, Any]
    extensions: dict[str, ExtensionValue] | None


class CheckedEvent(NamedTuple):
    """An event that is right as far as can be told without the city."""

    envelope: Envelope
    type: EventType
    data: EventData


def check_envelope(item: object) -> Envelope | list[ItemError]:
    """Check one decoded item of a post: the envelope, or what is wrong with it (a handful of errors at most)."""
    if not isinstance(item, dict):
        return [ItemError(RejectCode.INVALID_FIELD, None, "must be a JSON object")]
    get = item.get
    identity, source, kind, data = get("id"), get("source"), get("type"), get("data")
    subject, area = get("subject"), get("area")
    if (
        item.keys() <= _COMMON_NAMES
        and get("specversion") == "1.0"
        and get("datacontenttype") in _COMMON_CONTENT
        and type(data) is dict
        and (type(identity) is str and 0 < len(identity) <= MAX_ID_CHARS and identity.isprintable())
        and (type(source) is str and 0 < len(source) <= MAX_SOURCE_CHARS and source.isprintable())
        and (type(kind) is str and 0 < len(kind) <= MAX_TYPE_CHARS and kind.isprintable())
        and (subject is None or (type(subject) is str and 0 < len(subject) <= MAX_SUBJECT_CHARS and subject.isprintable()))
        and (area is None or (type(area) is str and 0 < len(area) <= MAX_AREA_CODE_CHARS and area.isprintable()))
        and (time := parse_time(get("time"))) is not None
    ):
        return Envelope(identity, source, kind, time, subject, area, data, None)
    return _check_whole(item)


def _check_whole(item: dict[str, Any]) -> Envelope | list[ItemError]:
    try:
        model = EventEnvelope.model_validate(item)
    except ValidationError as error:
        return item_errors(error)
    extensions = {name: value for name, value in model.__pydantic_extra__.items() if value is not None}
    return Envelope(model.id, model.source, model.type, model.time, model.subject, model.area, model.data, extensions or None)


def check_data(kind: EventType, data: object) -> EventData | list[ItemError]:
    """Check the payload of a known type: its model, or what is wrong, with paths such as `data.occupied`."""
    try:
        model: EventData = kind.data.__pydantic_validator__.validate_python(data)
    except ValidationError as error:
        return item_errors(error, "data")
    return model


def unknown_type(name: str) -> ItemError:
    """The error for a type that the city does not know, with the nearest one that it does."""
    near = get_close_matches(name, EVENT_TYPES, n=1)
    return ItemError(RejectCode.UNKNOWN_TYPE, "type", f"is not known; did you mean {near[0]}?" if near else "is not known")


def check_event(item: object) -> CheckedEvent | list[ItemError]:
    """Check one decoded item of a post, envelope and payload: all that can be told without the city."""
    envelope = check_envelope(item)
    if isinstance(envelope, list):
        return envelope
    kind = EVENT_TYPES.get(envelope.type)
    if kind is None:
        return [unknown_type(envelope.type)]
    if kind.sensor and envelope.subject is None:
        return [ItemError(RejectCode.INVALID_FIELD, "subject", "is required: it names the asset that sends this type")]
    data = check_data(kind, envelope.data)
    return data if isinstance(data, list) else CheckedEvent(envelope, kind, data)
