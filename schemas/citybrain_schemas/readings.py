"""What one event says about one metric. Made by the read functions of events/, converted and kept by ingest and aggregate.

Pure: units are named here and converted by ingest.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any, Literal, NamedTuple

Role = Literal["register", "direct", "started", "ended"]
ReadingsOf = Callable[[Any], "tuple[Reading, ...]"]
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)  # moves the point and never rounds


class Reading(NamedTuple):
    """`value` is in `unit`, or in the metric's own when that is None.

    A ratio has numerator and weight, both exact and the weight positive, in place of a `value`, which is their quotient.
    Readings of one `chain` of a subject are pairs: they mean something only beside their neighbour in time.
    """

    metric: str
    value: int | Decimal | None
    unit: str | None = None
    numerator: int | Decimal | None = None
    weight: int | Decimal | None = None
    chain: str | None = None
    role: Role | None = None


def micros(value: int | Decimal) -> int:
    """Millionths, rounded half-even once. The value is within ±10⁹ times any unit's factor (10¹⁵ at most)."""
    if isinstance(value, int):
        return value * 1_000_000
    return round(value.scaleb(6, _EXACT))


def quotient_micros(numerator: int | Decimal, weight: int | Decimal) -> int:
    """Millionths of numerator / weight, rounded half-even once. Both are exact, the weight is positive."""
    if type(numerator) is not int or type(weight) is not int:
        above, below = numerator.as_integer_ratio(), weight.as_integer_ratio()
        numerator, weight = above[0] * below[1], above[1] * below[0]
    whole, rest = divmod(numerator * 1_000_000, weight)
    return whole + (2 * rest > weight or (2 * rest == weight and whole & 1 == 1))


def always(*readings: Reading) -> ReadingsOf:
    """The read function of a type whose readings do not depend on its data."""
    return lambda _: readings
