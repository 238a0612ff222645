"""Convert posted units to a metric's own, exactly. Called by of_event. Pure; factors come from the pint library as fractions.

Understood: SI names and prefixes, and what meters commonly print (m3/h, m³/h, L/s, bar, psi, °F, kgf/cm2, Gcal …), joined by
`/`, `·`, `*`, `.` or a space, with exponents up to 3. Normal cubic metres (Nm³) are refused: what they are in m³ depends on
pressure and temperature, which only the gateway knows.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache, lru_cache
from typing import NamedTuple

import pint

_SUPERSCRIPTS = str.maketrans({"²": "2", "³": "3", "¹": "1", "⁻": "-", "℃": "°C", "℉": "°F", "µ": "μ", "×": "*", "⋅": "·"})
_FACTOR = re.compile(r"(°?[A-Za-zμ]{1,16})(?:(?:\^|\*\*)?(-?[1-3]))?")
_JOINT = re.compile(r"\s*(\*\*|[/·*.])\s*|\s+")
# Names that meters print and the library reads otherwise or not at all.
_NAMES = {
    "KWh": "kWh", "KWH": "kWh", "kwh": "kWh", "Kwh": "kWh", "KW": "kW", "kw": "kW", "Kw": "kW", "KV": "kV", "kv": "kV",
    "KPa": "kPa", "kpa": "kPa", "Kpa": "kPa", "Mpa": "MPa", "M": "m", "Gj": "GJ", "H": "hour", "Gal": "gallon", "gal": "gallon",
}  # fmt: skip
_REFUSED = frozenset({"Nm", "Ncm", "NM", "Sm", "SCM", "scm"})
_MOST_FACTORS = 4
_MICROS = 1_000_000
_KNOWN_UNITS = 4096  # texts come from strangers: the cache is bounded


class Conversion(NamedTuple):
    """Canonical value = posted value · factor + offset."""

    factor: Fraction
    offset: Fraction

    def micros(self, numerator: int, denominator: int) -> int:
        """Millionths of the canonical unit for the posted value `numerator / denominator`, rounded half-even once."""
        factor, offset = self.factor, self.offset
        over = denominator * factor.denominator * offset.denominator
        value = numerator * factor.numerator * offset.denominator + offset.numerator * denominator * factor.denominator
        whole, rest = divmod(value * _MICROS, over)
        return whole + (2 * rest > over or (2 * rest == over and whole & 1 == 1))


@lru_cache(_KNOWN_UNITS)
def conversion(unit: str, canonical: str) -> Conversion | None:
    """How to convert; None when the unit is unknown or measures something else."""
    try:
        posted, wanted = _parse(unit), _parse(canonical)
        if posted is None or wanted is None:
            return None
        at_0, at_1, at_2 = (_registry().Quantity(Fraction(value), posted).to(wanted).magnitude for value in range(3))
    except (pint.PintError, TypeError, ValueError, ArithmeticError):  # unknown, of another dimension, logarithmic …
        return None
    if not isinstance(at_0, Fraction) or at_2 - at_1 != at_1 - at_0:
        return None
    return Conversion(at_1 - at_0, at_0)


def warm_up() -> None:
    """Read the library's definitions now (0.2 s), so that no post has to wait for it."""
    _registry()


@cache
def _registry() -> pint.UnitRegistry[Fraction]:
    return pint.UnitRegistry(non_int_type=Fraction, cache_folder=None)


def _parse(unit: str) -> pint.Unit | None:
    """Only names, small exponents and products reach the library's parser, which would compute anything."""
    text = unit.strip().translate(_SUPERSCRIPTS)
    expression = ""
    at = 0
    for _ in range(_MOST_FACTORS):
        factor = _FACTOR.match(text, at)
        if factor is None or factor[1] in _REFUSED:
            return None
        name = _NAMES.get(factor[1], factor[1])
        expression += f"({name})**{factor[2] or 1}"
        at = factor.end()
        if at == len(text):
            return _registry().Unit(expression)
        joint = _JOINT.match(text, at)
        if joint is None:
            return None
        expression += "/" if joint[1] == "/" else "*"
        at = joint.end()
    return None
