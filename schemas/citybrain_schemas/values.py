"""The forms of single values: text, counts, exact numbers. Used by the payload models; the only place with their limits.

A number is an int or a Decimal, exact; a float (what Python's own JSON reader gives) is taken by its shortest decimal form.
Booleans and numeric strings are not numbers. Text holds any Unicode but NUL and lone surrogates.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

LIMIT = 1_000_000_000  # no value is beyond ±10⁹


_NOT_STORABLE = re.compile("[\0\ud800-\udfff]").search
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_NO_ATTRIBUTE = re.compile(f"[\0-\x1f\x7f-\x9f\ud800-\udfff{_NONCHARACTERS}]").search


def is_storable(text: str) -> bool:
    """Whether text can be kept: no NUL, no lone surrogate."""
    return text.isprintable() or _NOT_STORABLE(text) is None


def is_attribute(text: str) -> bool:
    """Whether CloudEvents allows text in an attribute: besides, no control character and no noncharacter."""
    return text.isprintable() or _NO_ATTRIBUTE(text) is None


@dataclass(frozen=True, slots=True)
class Text:
    """Text of at most `max_chars` code points, all of them allowed."""

    max_chars: int
    min_chars: int = 1
    allows: Callable[[str], bool] = is_storable

    def check(self, value: object) -> str:
        """The text itself, or an error that says what is wrong with it."""
        if type(value) is not str:
            raise PydanticCustomError("text", "must be text")
        if not self.min_chars <= len(value) <= self.max_chars:
            raise PydanticCustomError("text", f"must have {self.min_chars} to {self.max_chars} characters")
        if not self.allows(value):
            raise PydanticCustomError("text", "holds a character that is not allowed here")
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "minLength": self.min_chars, "maxLength": self.max_chars}


@dataclass(frozen=True, slots=True)
class Bounds:
    """A number between two bounds, exact; `whole` ones are given as 5 or 5.0."""

    least: int = -LIMIT
    most: int = LIMIT
    whole: bool = False

    def check(self, value: object) -> int | Decimal:
        """An int, or a finite Decimal where parts are allowed; beyond ±10⁹ the error's type is `out_of_range`."""
        if (
            type(value) is int or (type(value) is Decimal and not self.whole and value.is_finite())
        ) and self.least <= value <= self.most:
            return value  # the usual ones, quickly
        number = _exact(value)
        if not -LIMIT <= number <= LIMIT:
            raise PydanticCustomError("out_of_range", f"must be between {-LIMIT} and {LIMIT}")
        if not self.least <= number <= self.most:
            raise PydanticCustomError("number", f"must be between {self.least} and {self.most}")
        if not self.whole:
            return number
        if number != (whole := int(number)):
            raise PydanticCustomError("number", "must be a whole number")
        return whole

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        as_number = core_schema.plain_serializer_function_ser_schema(_json_number, when_used="json-unless-none")
        return core_schema.no_info_plain_validator_function(self.check, serialization=as_number)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "integer" if self.whole else "number", "minimum": self.least, "maximum": self.most}


def _exact(value: object) -> Decimal:
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or (number := Decimal(value)).is_nan():
        raise PydanticCustomError("number", "must be a number")
    return number


def _json_number(value: int | Decimal) -> int | float:
    """pydantic would write a Decimal as text, which is not a number on the way back in."""
    return value if isinstance(value, int) else float(value)


Code = Annotated[str, Text(64)]  # a category, a state, a department
Name = Annotated[str, Text(128)]  # an identifier of somebody else's
Contact = Annotated[str, Text(256)]
Unit = Annotated[str, Text(32)]
Link = Annotated[str, Text(2048)]
LongText = Annotated[str, Text(10_000, min_chars=0)]
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Bounds(least=0, whole=True)]
Number = Annotated[int | Decimal, Bounds()]
Level = Annotated[int | Decimal, Bounds(least=0)]
Percent = Annotated[int | Decimal, Bounds(least=0, most=100)]
