"""How busy a city is at an hour of a day. Called by actors and stream. Pure: tables and interpolation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

# Shares of the most at 0, 2, 4 … 22 o'clock, first of a working day, then of a day of the weekend.
Curve = tuple[tuple[float, ...], tuple[float, ...]]
LOTS: Mapping[str, Curve] = {
    "office": (
        (0.05, 0.04, 0.04, 0.08, 0.55, 0.92, 0.88, 0.93, 0.80, 0.35, 0.15, 0.08),
        (0.04, 0.03, 0.03, 0.04, 0.08, 0.14, 0.16, 0.15, 0.12, 0.08, 0.06, 0.05),
    ),
    "shops": (
        (0.03, 0.02, 0.02, 0.05, 0.20, 0.48, 0.62, 0.58, 0.66, 0.80, 0.50, 0.12),
        (0.03, 0.02, 0.02, 0.05, 0.25, 0.66, 0.88, 0.92, 0.90, 0.85, 0.55, 0.14),
    ),
    "homes": (
        (0.90, 0.92, 0.92, 0.86, 0.55, 0.40, 0.42, 0.40, 0.48, 0.70, 0.82, 0.88),
        (0.88, 0.90, 0.90, 0.88, 0.78, 0.66, 0.64, 0.62, 0.64, 0.72, 0.80, 0.86),
    ),
}
WATER: Curve = (
    (0.22, 0.18, 0.20, 0.72, 1.00, 0.74, 0.72, 0.60, 0.66, 0.92, 0.84, 0.42),
    (0.26, 0.20, 0.18, 0.38, 0.86, 1.00, 0.86, 0.70, 0.70, 0.88, 0.82, 0.46),
)
PEOPLE: Curve = (
    (0.10, 0.05, 0.04, 0.25, 0.80, 1.00, 0.90, 0.85, 0.95, 0.80, 0.50, 0.25),
    (0.14, 0.07, 0.04, 0.12, 0.50, 0.85, 0.95, 0.90, 0.95, 0.90, 0.60, 0.32),
)
_STEP_HOURS = 2


def level(curve: Curve, local: datetime) -> float:
    """The curve at a local time, between its points on a straight line."""
    points = curve[local.weekday() >= 5]
    hours = local.hour + local.minute / 60 + local.second / 3600
    place = int(hours // _STEP_HOURS)
    share = hours / _STEP_HOURS - place
    return points[place] * (1 - share) + points[(place + 1) % len(points)] * share
