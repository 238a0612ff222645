"""Read JSON strictly: exact decimals, UTF-8 only, bounded depth and numbers. Called by http and ndjson. Pure.

The decoder refuses NaN, Infinity, lone surrogates, control characters, a byte order mark and anything after the value. Added
here: how deep, how long a number, and that an item's text is checked although an array is first only cut into items.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from citybrain_schemas.errors import ItemError, RejectCode

MAX_ITEM_BYTES = 256 * 1024
MAX_DEPTH = 32
_MAX_NUMBER_CHARS = 400  # beyond this no database column holds it, and no sensor means it
_MAX_EXPONENT = 400
_BEYOND_ALL = Decimal("Infinity")  # what every range check refuses, naming the field


class NotJson(Exception):
    """The text is not JSON, or not of the shape that was announced."""


def _exact(text: str) -> Decimal:
    if len(text) > _MAX_NUMBER_CHARS:
        return _BEYOND_ALL
    try:
        value = Decimal(text)
    except ArithmeticError:  # an exponent beyond what the decimal library holds
        return _BEYOND_ALL
    return value if -_MAX_EXPONENT < value.adjusted() < _MAX_EXPONENT or not value else _BEYOND_ALL


_value = msgspec.json.Decoder(float_hook=_exact)
_array = msgspec.json.Decoder(list[msgspec.Raw])


def decode_item(text: bytes | msgspec.Raw) -> object:
    """One value, or an ItemError when it is JSON that cannot be held. Raises NotJson."""
    if len(text) > MAX_ITEM_BYTES:
        return ItemError(RejectCode.TOO_LARGE, None, f"is larger than {MAX_ITEM_BYTES >> 10} KiB")
    try:
        value: object = _value.decode(text)
    except msgspec.ValidationError:
        return ItemError(RejectCode.OUT_OF_RANGE, None, "holds a number of too many digits")
    except RecursionError:
        return _TOO_DEEP
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(_reason(error)) from error
    return _TOO_DEEP if _is_deep(text) and _depth(value, MAX_DEPTH) > MAX_DEPTH else value


def cut_array(body: bytes) -> list[msgspec.Raw]:
    """The items of an array, each still text. Raises NotJson."""
    try:
        return _array.decode(body)
    except msgspec.ValidationError as error:
        raise NotJson("an array of events was announced") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(_reason(error)) from error
    except RecursionError as error:
        raise NotJson(f"the body is nested deeper than {MAX_DEPTH} levels") from error


_TOO_DEEP = ItemError(RejectCode.INVALID_FIELD, None, f"is nested deeper than {MAX_DEPTH} levels")


def _reason(error: Exception) -> str:
    return "the text is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _is_deep(text: bytes | msgspec.Raw) -> bool:
    """Whether it is worth measuring: an item of few brackets cannot be deep."""
    text = bytes(text)
    return text.count(b"{") + text.count(b"[") > MAX_DEPTH


def _depth(value: object, at_most: int) -> int:
    """Levels of arrays and objects; counting stops beyond `at_most`."""
    level: list[object] = [value]
    depth = 0
    while level and depth <= at_most:
        below: list[object] = []
        inner = False
        for one in level:
            if isinstance(one, dict):
                below.extend(one.values())
                inner = True
            elif isinstance(one, list):
                below.extend(one)
                inner = True
        depth += inner
        level = below
    return depth
