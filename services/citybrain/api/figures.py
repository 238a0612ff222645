"""From integers of millionths to the numbers that people read. Called by series and dump. Pure.

`avg` and `value` are rounded half-even to 6 places here; nothing before is rounded on reading, and no float appears.
"""

from __future__ import annotations

from citybrain.store.window_reads import Window

MICRO = 1_000_000
_MEAN, _RATIO = 2, 4  # of `metric.mode`; 0 counts and sums, 1 added up, 3 the greatest


def half_even(numerator: int, denominator: int) -> int:
    """The nearest integer to a fraction with a positive denominator, the even one of two equally near."""
    whole, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and whole & 1):
        return whole + 1
    return whole


def plain(micros: int) -> str:
    """Millionths as a JSON number: no exponent, no zeros at the end."""
    if micros % MICRO == 0:
        return str(micros // MICRO)
    whole, rest = divmod(abs(micros), MICRO)
    return f"{'-' if micros < 0 else ''}{whole}.{rest:06d}".rstrip("0")


def last_micros(latest: str) -> int:
    """The value at the end of `latest`."""
    return int(latest.rpartition("\x01")[2])


def average(window: Window) -> int:
    """`avg` over the readings, in millionths."""
    return half_even(window.sum, window.readings)


def value_micros(window: Window, mode: int, *, leaf: bool) -> int | None:
    """`value` in millionths: of an asset its sum or average, of an area what its subjects combine to."""
    if leaf:
        return window.sum if mode == 0 else average(window)
    part = window.part or 0
    if mode == _RATIO:
        return half_even(part * MICRO, window.weight) if window.weight else None
    if mode == _MEAN:
        return half_even(part, window.subjects * MICRO) if window.subjects else None
    return half_even(part, MICRO)
