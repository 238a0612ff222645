"""What is wrong with a posted event: codes, and which field. Made by envelope and events, answered by ingest.

Texts here never repeat a posted value: it may be personal, or ten megabytes long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

MAX_ERRORS_PER_ITEM = 5
MAX_FIELD_CHARS = 200
_PLAINER: Mapping[str, str] = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this type",
    "model_type": "must be a JSON object",
    "string_unicode": "must not hold lone surrogates",
}


class RejectCode(StrEnum):
    """Why an item was refused. Clients may switch on it; new codes may be added."""

    INVALID_FIELD = "invalid_field"  # missing, of the wrong form, or not allowed here
    OUT_OF_RANGE = "out_of_range"  # a number beyond ±10⁹
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_AREA = "unknown_area"  # no such code, or nothing that places the event
    FUTURE_TIME = "future_time"
    TOO_OLD = "too_old"
    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    FORBIDDEN_SOURCE = "forbidden_source"
    FORBIDDEN_AREA = "forbidden_area"


@dataclass(frozen=True, slots=True)
class ItemError:
    """One thing wrong with one event; `field` is a path such as `data.occupied`, None when it is the whole item."""

    code: RejectCode
    field: str | None
    detail: str


class RejectedItem(BaseModel):
    """How a refused item is answered: where it was in the post, what it called itself, and the first thing wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: Annotated[int, Field(ge=0)]
    id: str | None = None
    code: RejectCode
    field: str | None = None
    detail: str


class PostAnswer(BaseModel):
    """The answer to `POST /v1/events`: how many are kept, and which are not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accepted: Annotated[int, Field(ge=0)]
    rejected: list[RejectedItem]


def item_errors(error: ValidationError, prefix: str = "") -> list[ItemError]:
    """At most a handful of errors of one item, in the order of its schema; `prefix` is put before every path."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [_item_error(one, prefix) for one in found[:MAX_ERRORS_PER_ITEM]]


def _item_error(one: ErrorDetails, prefix: str) -> ItemError:
    path = ".".join([prefix, *map(str, one["loc"])] if prefix else map(str, one["loc"]))
    field = path[:MAX_FIELD_CHARS].encode("utf-8", "replace").decode("utf-8")
    code = RejectCode.OUT_OF_RANGE if one["type"] == "out_of_range" else RejectCode.INVALID_FIELD
    return ItemError(code, field or None, _PLAINER.get(one["type"], one["msg"]))
