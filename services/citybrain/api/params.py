"""What a request may say: times with an offset, bounded texts, page sizes and cursors. Called by the routes. Pure.

A cursor is opaque to callers: the list and the position of the last item of a page, as JSON in URL-safe base64. One that we did
not make, or made for another list, is refused with 422.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Generic, TypeVar
from uuid import UUID

import msgspec
from fastapi import Query
from pydantic import BeforeValidator, StringConstraints, WithJsonSchema

from citybrain.city import Areas
from citybrain.web import Problem, invalid
from citybrain_schemas.instants import parse_time

MAX_PAGE = 1000
_WRONG_CURSOR = "is not one that this list gave"
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_Position = TypeVar("_Position", bound=Sequence[object])


def _instant(value: object) -> datetime:
    # A plus sign that was not percent-encoded arrives as a space; an offset is all that it can mean.
    at = parse_time(value.replace(" ", "+") if isinstance(value, str) else value)
    if at is None or not _in_range(at):
        raise ValueError("must be an RFC 3339 time with seconds and an offset, like 2026-11-23T08:15:00+08:00, from 1900 to 2199")
    return at


def _in_range(at: datetime) -> bool:
    return 1900 <= at.year < 2200


Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00]*$")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="items on a page")]
Cursor = Annotated[Text | None, Query(description="`next` of the page before")]
From = Annotated[Instant | None, Query(alias="from", description="not before")]
To = Annotated[Instant | None, Query(alias="to", description="before, not at")]


@dataclass(frozen=True, slots=True)
class Cursors(Generic[_Position]):
    """The cursors of one list: its name, and what a position is made of (times, texts, bytes and numbers)."""

    of: str
    kind: type[_Position]

    def write(self, position: Sequence[object]) -> str:
        """The text for a position."""
        return base64.urlsafe_b64encode(self.of.encode() + msgspec.json.encode(position)).decode().rstrip("=")

    def read(self, text: str | None) -> _Position | None:
        """The position of a cursor. Raises Problem 422."""
        if text is None:
            return None
        try:
            of, bracket, rest = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).partition(b"[")
            position = msgspec.json.decode(bracket + rest, type=self.kind)
        except (msgspec.DecodeError, binascii.Error, ValueError) as error:
            raise invalid("cursor", _WRONG_CURSOR) from error
        if of != self.of.encode() or not all(_sane(part) for part in position):
            raise invalid("cursor", _WRONG_CURSOR)
        return position


def _sane(part: object) -> bool:
    """Whether the database can take a part of a cursor that may be forged."""
    return _in_range(part) if isinstance(part, datetime) else not isinstance(part, str) or "\x00" not in part


def known_area(areas: Areas, code: str) -> str:
    """The code itself. Raises Problem 404 when no area ever had it."""
    if not areas.known(code):
        raise invalid("area", f"there is no area {code!r}", 404)
    return code


def identity(noun: str, text: str) -> UUID:
    """The id of an alert or a silence. Raises Problem 404: what is no id is nobody's."""
    try:
        return UUID(text)
    except ValueError as error:
        raise unknown(noun, text) from error


def unknown(noun: str, text: object) -> Problem:
    """404: there is none of that id."""
    return Problem(404, f"there is no {noun} {str(text)!r}")


def json_text(value: str | None) -> msgspec.Raw | None:
    """JSON that is stored as text, to be put into an answer as it is."""
    return None if value is None else msgspec.Raw(value.encode())
