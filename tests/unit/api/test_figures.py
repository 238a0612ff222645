"""Integers of millionths become the numbers that people read, exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from citybrain.api.figures import average, half_even, last_micros, plain, value_micros
from citybrain.api.intervals import intersect, subtract, union
from citybrain.store.window_reads import Window

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
T0 = datetime(2026, 3, 1, tzinfo=UTC)


def window(**more: int | None) -> Window:
    figures = {"readings": 1, "sum": 0, "min": 0, "max": 0, "part": None, "weight": None, "subjects": 1, "revision": 0} | more
    return Window(start=T0, latest="0\x01s\x01i\x010", **figures)  # type: ignore[arg-type]


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**15))
def test_rounding_is_half_even(numerator: int, denominator: int) -> None:
    assert half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.integers(-(10**30), 10**30))
def test_numbers_are_exact_without_exponent_or_trailing_zeros(micros: int) -> None:
    text = plain(micros)
    assert EXACT.multiply(Decimal(text), Decimal(10**6)) == micros
    assert "e" not in text.lower()
    assert "." not in text or not text.endswith("0")


def test_the_value_of_an_area_is_what_its_subjects_combine_to() -> None:
    assert value_micros(window(readings=4, sum=10), 0, leaf=True) == 10
    assert value_micros(window(readings=4, sum=10), 1, leaf=True) == average(window(readings=4, sum=10)) == 2
    assert value_micros(window(part=2_500_000), 1, leaf=False) == 2
    assert value_micros(window(part=3_500_000), 3, leaf=False) == 4
    assert value_micros(window(part=10_000_000, subjects=4), 2, leaf=False) == 2
    assert value_micros(window(part=45 * 10**12, weight=60 * 10**12), 4, leaf=False) == 750_000
    assert value_micros(window(part=0, weight=0), 4, leaf=False) is None
    assert last_micros("0001\x01/a\x01b\x01-25") == -25


INTERVALS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6)


def _moments(parts: list[tuple[int, int]]) -> list[tuple[datetime, datetime]]:
    return union((T0 + timedelta(hours=a), T0 + timedelta(hours=b)) for a, b in parts)


@given(INTERVALS, INTERVALS)
def test_intervals_are_sets_of_instants(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    mine, theirs = _moments(one), _moments(other)
    for hour in range(41):
        at = T0 + timedelta(hours=hour)
        a, b = any(x <= hour < y for x, y in one), any(x <= hour < y for x, y in other)
        assert any(x <= at < y for x, y in subtract(mine, theirs)) == (a and not b)
        assert any(x <= at < y for x, y in intersect(mine, theirs)) == (a and b)
        assert any(x <= at < y for x, y in union([*mine, *theirs])) == (a or b)
