"""What the seeded city is made of: assets and sources, what they measure, how often, and when they were silent. Pure.

Used by seeding.py. 500 assets send every 30 minutes and 20 every minute; patrols, citizens and gates are sources without a
subject. Assets of one kind send at the same minute.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from citybrain.store.dictionary import Series

HALF_HOUR, MINUTE, TWO_HOURS = 30, 1, 120


@dataclass(frozen=True, slots=True)
class Measured:
    """A series at the bottom. `base`, `swing`, `noise` are in the metric's unit; the day's curve peaks at `peak_hour`.

    `capacity` is the weight of a ratio. Silent from `quiet[0]` to `quiet[1]` before the end of the seeding.
    """

    series: Series
    every: int
    phase: int
    base: float
    swing: float
    noise: float
    peak_hour: float
    capacity: int = 0
    quiet: tuple[timedelta, timedelta] | None = None


@dataclass(frozen=True, slots=True)
class Asset:
    """A row of `asset_state`."""

    subject: str
    type: str
    area: str
    data: str
    every: int
    phase: int
    quiet: tuple[timedelta, timedelta] | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """Assets of one kind; `metrics` are (metric, base, swing, noise)."""

    prefix: str
    type: str
    data: dict[str, object]
    metrics: tuple[tuple[str, float, float, float], ...]
    count: int
    grids: int
    peak_hour: float
    every: int = HALF_HOUR
    phase: int = 0
    capacity: int = 0


def _utility(medium: str, quantity: str, unit: str, count: int, figures: tuple[float, float, float], **more: int) -> Kind:
    """Meters of one medium and quantity."""
    data = {"medium": medium, "quantity": quantity, "value": figures[0], "unit": unit}
    peak = {"water": 8.0, "power": 20.0, "gas": 18.5, "heat": 6.0}[medium]
    prefix = f"{medium}-{quantity[:4]}"
    return Kind(prefix, "utility.reading", data, ((f"{medium}.{quantity}", *figures),), count, 5, peak, **more)


_RATIO = ("parking.occupied_ratio", 0.52, 0.38, 0.12)
_OCCUPIED = ("parking.occupied", 156, 114, 36)
_LOT = {"occupied": 182, "capacity": 300}
KINDS = (
    Kind("lot", "parking.occupancy", _LOT, (_RATIO, _OCCUPIED), 60, 5, 13.0, capacity=300),
    _utility("water", "consumption", "m³", 40, (4, 2.5, 1), phase=4),
    _utility("water", "pressure", "kPa", 30, (310, -40, 20), phase=4),
    _utility("power", "consumption", "kWh", 40, (22, 12, 4), phase=8),
    _utility("power", "voltage", "V", 30, (229, -4, 3), phase=8),
    _utility("gas", "consumption", "m³", 40, (3, 2, 0.8), phase=12),
    _utility("gas", "pressure", "kPa", 30, (2.4, -0.2, 0.1), phase=12),
    _utility("heat", "consumption", "GJ", 40, (0.6, 0.25, 0.1), phase=16),
    _utility("heat", "temperature", "°C", 30, (58, 6, 2), phase=16),
    Kind("bin", "bin.level", {"level_percent": 64}, (("bin.level", 48, 30, 22),), 110, 5, 19.0, phase=20),
    Kind("sensor", "device.battery", {"percent": 81}, (("device.battery", 78, 2, 16),), 50, 5, 15.0, phase=24),
    replace(_utility("water", "pressure", "kPa", 20, (314, -38, 9), every=MINUTE), prefix="pump", grids=1),
)  # fmt: skip
# (source, metric, base, swing, noise): counts of what happened in two hours of a grid
SOURCES = (
    ("/gates/barrier", "parking.sessions", 34.0, 26.0, 12.0),
    ("/patrol/app", "parking.violations", 3.0, 3.0, 2.0),
    ("/patrol/app", "case.reported", 5.0, 4.0, 3.0),
    ("/desk/12345", "case.filed", 4.0, 3.0, 3.0),
    ("/desk/12345", "case.returned", 0.6, 0.5, 0.8),
    ("/desk/12345", "case.closed", 4.0, 3.0, 3.0),
    ("/citizens/app", "citizen.reports", 4.0, 4.0, 3.0),
    ("/trucks/gps", "sanitation.collections", 6.0, 5.0, 2.0),
    *((f"/{medium}/desk", f"{medium}.outages", 0.1, 0.1, 0.8) for medium in ("water", "power", "gas", "heat")),
    *((f"/{medium}/desk", f"{medium}.leaks", 0.1, 0.1, 0.8) for medium in ("water", "power", "gas", "heat")),
)  # fmt: skip
_STATES = ("open", "open", "open", "closed", "broken")
_SILENT = timedelta(hours=9)  # as of the end: some meters have been silent for so long
_GAP = (timedelta(hours=33), timedelta(hours=27))  # all car parks of one grid, once


def assets(grids: Sequence[str]) -> Iterator[Asset]:
    """Every asset, each in a grid."""
    for k, kind in enumerate(KINDS):
        for n in range(kind.count):
            quiet = (_SILENT, timedelta(0)) if kind.prefix == "water-cons" and n % 13 == 3 else None
            if kind.prefix == "lot" and n % kind.grids == 2:
                quiet = _GAP
            yield Asset(
                f"{kind.prefix}-{n + 1:03}",
                kind.type,
                _grid(grids, k, n % kind.grids),
                json.dumps(_said(kind, n)),
                kind.every,
                kind.phase,
                quiet,
            )


def _said(kind: Kind, number: int) -> dict[str, object]:
    """The last event's data: each asset says something else."""
    luck = (number * 37 % 100) / 100
    match kind.data:
        case {"occupied": _, "capacity": int(capacity)}:
            return {"occupied": round(capacity * (0.3 + 0.7 * luck)), "capacity": capacity}
        case {"value": float() | int() as value}:
            return kind.data | {"value": round(value * (0.85 + 0.3 * luck), 2)}
        case {"level_percent": _}:
            return {"level_percent": round(100 * luck)}
        case _:
            return {"percent": round(100 - 88 * luck)}


def measured(grids: Sequence[str]) -> Iterator[Measured]:
    """Every series of an asset or a source."""
    found = iter(assets(grids))
    for kind in KINDS:
        for n in range(kind.count):
            asset = next(found)
            scale = 1 + 0.25 * ((n * 7) % 5 - 2) / 2
            for metric, base, swing, noise in kind.metrics:
                capacity = kind.capacity if metric == "parking.occupied_ratio" else 0
                figures = (base, swing * scale, noise)
                where = Series(metric, asset.area, asset.subject)
                yield Measured(where, kind.every, kind.phase, *figures, kind.peak_hour, capacity, asset.quiet)
    for k, (source, metric, base, swing, noise) in enumerate(SOURCES):
        for n in range(6):
            where = Series(metric, _grid(grids, 3 * n + k % 2, n), None, source)
            yield Measured(where, TWO_HOURS, 2 * k, base * (1 + n / 4), swing, noise, 14.0)


def _grid(grids: Sequence[str], kind: int, number: int) -> str:
    """Grids of one kind are spread over the city; kinds overlap."""
    return grids[(7 * kind + 13 * number) % len(grids)]


def facilities(grids: Sequence[str]) -> Iterator[Asset]:
    """Toilets and transfer stations: they report when something changes, and measure nothing."""
    for n in range(25):
        data = json.dumps({"state": _STATES[(n + n // 5) % len(_STATES)]})
        yield Asset(f"facility-{n + 1:03}", "facility.status", _grid(grids, 3, n), data, 24 * 60, 40 * n)
