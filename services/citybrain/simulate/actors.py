"""Who speaks in a simulated city: lots, water meters, bins and citizens. Called by stream. Pure: dice and a moment in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Protocol

from citybrain.simulate.rhythm import LOTS, PEOPLE, WATER, level

Said = tuple[str, dict[str, Any]]
COMPLAINTS = (
    ("0110", "Waste lies beside the road"),
    ("0401", "A stall blocks the pavement"),
    ("0201", "Posters on a wall"),
    ("0301", "A building site is noisy at night"),
    ("0505", "The road sags"),
)
BURST = ("0501", "Water comes out of the road")


class Actor(Protocol):
    """Something with an identity that speaks when it is asked. `fault` is what is wrong with it now, empty when nothing is."""

    subject: str
    area: str
    app: str

    def speak(self, local: datetime, fault: str, dice: Random) -> Iterator[Said]:
        """The type and data of each thing it says at a local time."""
        ...


@dataclass
class Lot:
    """A car park that fills and empties with its kind of day."""

    subject: str
    area: str
    capacity: int
    kind: str
    drift: float = 0.0
    app: str = "parking"

    def speak(self, local: datetime, fault: str, dice: Random) -> Iterator[Said]:
        """One reading of the occupied spaces."""
        self.drift = 0.95 * self.drift + dice.gauss(0.0, 0.012)
        share = (
            dice.uniform(0.97, 1.0) if fault == "full_lot" else min(max(level(LOTS[self.kind], local) + self.drift, 0.0), 0.96)
        )
        yield "parking.occupancy", {"occupied": round(share * self.capacity), "capacity": self.capacity}


@dataclass
class Meter:
    """A water meter at the entry of a grid: it measures flow and pressure."""

    subject: str
    area: str
    most_m3_h: float
    app: str = "water"

    def speak(self, local: datetime, fault: str, dice: Random) -> Iterator[Said]:
        """A reading of the flow and one of the pressure; none while it is silent."""
        if fault == "silent_meter":
            return
        share = level(WATER, local) * dice.gauss(1.0, 0.04)
        flow, pressure = self.most_m3_h * share, 430.0 - 90.0 * share + dice.gauss(0.0, 4.0)
        if fault == "burst_main":
            flow, pressure = flow + self.most_m3_h * dice.uniform(0.9, 1.2), pressure * dice.uniform(0.42, 0.5)
        yield "utility.reading", {"medium": "water", "quantity": "flow", "value": round(max(flow, 0.0), 3), "unit": "m³/h"}
        yield "utility.reading", {"medium": "water", "quantity": "pressure", "value": round(max(pressure, 0.0), 1), "unit": "kPa"}


@dataclass
class Bin:
    """A bin that fills with people's day and is emptied when it is nearly full, by day."""

    subject: str
    area: str
    percent: float
    percent_an_hour: float
    asked: datetime | None = None
    app: str = "crew"

    def speak(self, local: datetime, fault: str, dice: Random) -> Iterator[Said]:
        """Its level, and that it was emptied."""
        if fault != "stuck_sensor":
            hours = (local - self.asked).total_seconds() / 3600 if self.asked else 0.0
            self.percent = min(self.percent + self.percent_an_hour * hours * level(PEOPLE, local) * dice.uniform(0.6, 1.4), 100.0)
        self.asked = local
        yield "bin.level", {"level_percent": round(self.percent, 1)}
        if fault != "stuck_sensor" and self.percent > 85.0 and 5 <= local.hour < 22:
            self.percent = dice.uniform(1.0, 5.0)
            yield "collection.done", {}


@dataclass
class Citizens:
    """The people of a grid and what they report: `chance` is how likely it is, each time they are asked, at the busiest hour."""

    area: str
    lon: float
    lat: float
    chance: float
    subject: str = ""
    app: str = "citizens"

    def speak(self, local: datetime, fault: str, dice: Random) -> Iterator[Said]:
        """Now and then a report; of a burst main for certain, almost."""
        chance = max(self.chance * level(PEOPLE, local), 0.4 if fault == "burst_main" else 0.0)
        if dice.random() >= chance:
            return
        category, description = BURST if fault == "burst_main" else dice.choice(COMPLAINTS)
        point = [round(self.lon + dice.uniform(-1e-4, 1e-4), 6), round(self.lat + dice.uniform(-1e-4, 1e-4), 6)]
        yield (
            "citizen.report",
            {"category": category, "description": description, "location": {"type": "Point", "coordinates": point}},
        )
