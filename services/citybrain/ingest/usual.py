"""Read the usual event by two typed calls in place of many small checks. Called by decide. Pure.

It only ever accepts, and only what `strict_json.decode_item` and `check_event` accept, reading the same; whatever it
declines is read again by them, which alone say what is wrong. Forms are made from the payload models, so a new domain
needs nothing here: a model that holds more than plain numbers, texts and choices, all required, is left to them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any, Literal, NamedTuple, get_origin

import msgspec
from msgspec import Meta
from pydantic.fields import FieldInfo

from citybrain.ingest.strict_json import MAX_ITEM_BYTES
from citybrain_schemas.areas import MAX_AREA_CODE_CHARS
from citybrain_schemas.envelope import (
    MAX_ID_CHARS,
    MAX_SOURCE_CHARS,
    MAX_SUBJECT_CHARS,
)
from citybrain_schemas.event_type import EventType
from citybrain_schemas.events import EVENT_TYPES
from citybrain_schemas.instants import parse_time
from citybrain_schemas.values import LIMIT, Bounds, Text

_MAX_NUMBER_CHARS = 18


def _plain(text: str) -> Decimal:
    """A short number without an exponent: exact, and far from every limit of the decimal library."""
    if len(text) > _MAX_NUMBER_CHARS or "e" in text or "E" in text:
        raise ValueError(text)
    return Decimal(text)


class UsualEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """`EventEnvelope` without extensions."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]
    source: Annotated[str, Meta(min_length=1, max_length=MAX_SOURCE_CHARS)]
    type: str
    time: str
    data: dict[str, Any]
    subject: Annotated[str, Meta(min_length=1, max_length=MAX_SUBJECT_CHARS)] | None = None
    area: Annotated[str, Meta(min_length=1, max_length=MAX_AREA_CODE_CHARS)] | None = None
    datacontenttype: Literal["application/json"] | None = None


class Form(NamedTuple):
    """How the payload of a type is read: its struct, and the fields to look at afterwards."""

    kind: EventType
    struct: type[msgspec.Struct]
    texts: tuple[Callable[[Any], str], ...]
    numbers: tuple[tuple[Callable[[Any], object], Bounds], ...]


def _form(kind: EventType) -> Form | None:
    if kind.personal:
        return None  # what is about a person is kept apart
    fields: list[tuple[str, Any]] = []
    texts: list[Callable[[Any], str]] = []
    numbers: list[tuple[Callable[[Any], object], Bounds]] = []
    for name, field in kind.data.model_fields.items():
        if name == "location":
            continue  # who posts one is not usual
        match _rule(field):
            case Text(max_chars=most, min_chars=least):
                fields.append((name, Annotated[str, Meta(min_length=least, max_length=most)]))
                texts.append(attrgetter(name))
            case Bounds(least=low, most=high, whole=True):
                fields.append((name, Annotated[int, Meta(ge=max(low, -LIMIT), le=min(high, LIMIT))]))
            case Bounds() as bounds:
                fields.append((name, Any))  # the library has no type for "a JSON number, exactly"
                numbers.append((attrgetter(name), bounds))
            case None if get_origin(field.annotation) is Literal:
                fields.append((name, field.annotation))
            case _:
                return None
    struct = msgspec.defstruct(kind.data.__name__, fields, namespace={"location": None}, forbid_unknown_fields=True, gc=False)
    return Form(kind, struct, tuple(texts), tuple(numbers))


def _rule(field: FieldInfo) -> object:
    """What limits the field; None when nothing but its type does. A field that may be left out is of no known kind."""
    if not field.is_required() or len(field.metadata) > 1:
        return field
    return field.metadata[0] if field.metadata else None


_decode = msgspec.json.Decoder(UsualEvent, float_hook=_plain).decode
_FORMS = {name: form for name, kind in EVENT_TYPES.items() if (form := _form(kind)) is not None}


def read_usual(text: bytes | msgspec.Raw) -> tuple[UsualEvent, EventType, Any, datetime] | None:
    """The event, its type, its payload (with the fields of the type's model) and its time; None for one that is not usual."""
    if len(text) > MAX_ITEM_BYTES:
        return None
    try:
        event = _decode(text)
        form = _FORMS[event.type]
        data: Any = msgspec.convert(event.data, form.struct)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
        return None
    subject, area = event.subject, event.area
    if (
        (time := parse_time(event.time)) is None
        or not (event.id.isprintable() and event.source.isprintable())
        or (not subject.isprintable() if subject is not None else form.kind.sensor)
        or (area is not None and not area.isprintable())
    ):
        return None
    for text_of in form.texts:
        if not text_of(data).isprintable():
            return None
    for number_of, bounds in form.numbers:
        number = number_of(data)
        if not (type(number) is int or type(number) is Decimal) or not bounds.least <= number <= bounds.most:
            return None
    return event, form.kind, data, time
