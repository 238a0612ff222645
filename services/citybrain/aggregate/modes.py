"""How the rows of a metric add up, as the small number that SQL works with. Called by the worker and by migrations' caller.

A row of an asset contributes to its area: its sum (counts and sums), its average (gauges), or its average numerator and
weight (ratios). An area's own figure adds the contributions up, or keeps the greatest.
"""

from __future__ import annotations

from enum import IntEnum

from citybrain_schemas.metrics import METRICS, Metric


class Mode(IntEnum):
    """The column `metric.mode`; the order is part of the database and never changes."""

    TOTAL = 0
    GAUGE_SUM = 1
    GAUGE_MEAN = 2
    GAUGE_MAX = 3
    GAUGE_RATIO = 4


def mode_of(metric: Metric) -> Mode:
    """The mode of a declared metric."""
    if metric.kind != "gauge":
        return Mode.TOTAL
    return {
        "sum": Mode.GAUGE_SUM,
        "mean": Mode.GAUGE_MEAN,
        "max": Mode.GAUGE_MAX,
        "ratio": Mode.GAUGE_RATIO,
    }[str(metric.across)]


MODES: dict[str, Mode] = {name: mode_of(metric) for name, metric in METRICS.items()}


def metric_rows() -> list[tuple[str, str, str, str, int]]:
    """The table `metric`: name, unit, kind, across, mode."""
    return [(name, one.unit, str(one.kind), str(one.across or ""), int(MODES[name])) for name, one in sorted(METRICS.items())]
