"""Posted units become the metric's own, exactly; what measures something else is refused."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain.readings.units import Conversion, conversion
from citybrain_schemas.metrics import METRICS


def _micros(value: str, unit: str, canonical: str) -> int:
    found = conversion(unit, canonical)
    assert found is not None, unit
    return found.micros(*Decimal(value).as_integer_ratio())


@pytest.mark.parametrize(
    ("value", "unit", "canonical", "expected"),
    [
        ("1", "m3/h", "m³/h", 1_000_000),
        ("1", "m³/h", "m³/h", 1_000_000),
        ("1", "m³·h⁻¹", "m³/h", 1_000_000),
        ("1", "m3.h-1", "m³/h", 1_000_000),
        ("1", "m^3 / h", "m³/h", 1_000_000),
        ("1", "m**3/h", "m³/h", 1_000_000),
        ("1", "L/s", "m³/h", 3_600_000),
        ("0.1", "l/s", "m³/h", 360_000),
        ("1", "L/min", "m³/h", 60_000),
        ("1.5", "bar", "kPa", 150_000_000),
        ("1", "mbar", "kPa", 100_000),
        ("1", "MPa", "kPa", 1_000_000_000),
        ("1", "kgf/cm2", "kPa", 98_066_500),
        ("1500", "W", "kW", 1_500_000),
        ("1", "MW", "kW", 1_000_000_000),
        ("1", "MWh", "kWh", 1_000_000_000),
        ("1", "KWH", "kWh", 1_000_000),
        ("1", "kWh", "GJ", 3_600),
        ("1", "MJ", "GJ", 1_000),
        ("1", "GJ", "kWh", 277_777_778),
        ("1", "L", "m³", 1_000),
        ("273.15", "K", "°C", 0),
        ("212", "°F", "°C", 100_000_000),
        ("0", "degF", "°C", -17_777_778),
        ("21.5", "℃", "°C", 21_500_000),
        ("21.5", "degC", "°C", 21_500_000),
        ("0.4", "kV", "V", 400_000_000),
        ("125", "cm", "m", 1_250_000),
        ("-40", "°F", "°C", -40_000_000),
    ],
)  # fmt: skip
def test_a_unit_that_meters_print_is_converted_exactly(value: str, unit: str, canonical: str, expected: int) -> None:
    assert _micros(value, unit, canonical) == expected


@pytest.mark.parametrize(
    "unit",
    [
        "kPa", "kg/h", "furlong", "", " ", "m3/", "/h", "m3//h", "m3/h)", "(m3/h", "9**9**9", "m**99", "1e9 m3/h", "m3/h; 1",
        "__import__",         "dBm", "Nm3/h", "Nm³/h", "°C/h", "%", "℃",
        "m" * 500, "m\u0000", "m3/h" + "/h*h" * 50 + "/K", "delta_degC",
    ],
)  # fmt: skip
def test_what_is_no_flow_is_refused(unit: str) -> None:
    assert conversion(unit, "m³/h") is None


def test_every_metric_of_meters_is_in_a_unit_that_is_understood() -> None:
    for name, metric in METRICS.items():
        if name.split(".")[0] in ("water", "power", "gas", "heat") and metric.unit not in ("1", "customers"):
            assert conversion(metric.unit, metric.unit) == Conversion(Fraction(1), Fraction(0)), name


@given(value=st.decimals(-(10**9), 10**9, places=9), unit=st.sampled_from(["L/s", "ft3/min", "gal/min"]))
def test_rounding_is_half_even_of_the_exact_figure(value: Decimal, unit: str) -> None:
    found = conversion(unit, "m³/h")
    assert found is not None
    assert found.micros(*value.as_integer_ratio()) == round(Fraction(value) * found.factor * 1_000_000)


@pytest.mark.parametrize(("micros_times_two", "expected"), [(1, 0), (3, 2), (5, 2), (-1, 0), (-3, -2), (-5, -2)])
def test_a_tie_goes_to_the_even_neighbour(micros_times_two: int, expected: int) -> None:
    assert Conversion(Fraction(1), Fraction(0)).micros(micros_times_two, 2_000_000) == expected


@given(unit=st.text(max_size=32))
def test_any_text_as_a_unit_is_answered(unit: str) -> None:
    conversion(unit, "kPa")
