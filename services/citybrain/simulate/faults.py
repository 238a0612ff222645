"""What goes wrong in a simulated city, when and for whom: the ground truth. Called by stream and run. Pure: dice in, faults out.

A run is cut into rounds of about six hours. In each, every kind happens: the first two kinds in its first half, the others in
its second, so that one asset never has two faults at once. The kinds:
burst_main    flow rises by half and more, pressure falls by half, citizens of the grid report it
full_lot      a car park stands at or just below its capacity
silent_meter  a meter says nothing
stuck_sensor  a bin says the same figure again and again
offline_app   the crew's app of a grid has no network: what it holds is posted when the stretch ends, all at once
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

ROUND = timedelta(hours=6)
HALVES = {"burst_main": 0.05, "full_lot": 0.05, "silent_meter": 0.55, "stuck_sensor": 0.55}
OFFLINE = "offline_app"
OFFLINE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong from `start` (inclusive) to `end` (exclusive); an app has no subject."""

    kind: str
    start: datetime
    end: datetime
    subject: str
    area: str

    def holds(self, at: datetime) -> bool:
        """Whether it is going on."""
        return self.start <= at < self.end

    def truth(self) -> dict[str, str | None]:
        """Its line of the ground-truth file."""
        span = {"start": self.start.isoformat(), "end": self.end.isoformat()}
        return {"kind": self.kind, **span, "subject": self.subject or None, "area": self.area}


def plan_faults(assets: Mapping[str, Sequence[tuple[str, str]]], begin: datetime, length: timedelta, dice: Random) -> list[Fault]:
    """All faults of a run. `assets` gives for every kind who can have it, as (subject, area)."""
    rounds = max(1, round(length / ROUND))
    found = [fault for n in range(rounds) for fault in _round(assets, begin + n * length / rounds, length / rounds, dice)]
    return sorted(found, key=lambda fault: (fault.start, fault.kind, fault.subject, fault.area))


def _round(assets: Mapping[str, Sequence[tuple[str, str]]], begin: datetime, length: timedelta, dice: Random) -> Iterator[Fault]:
    for kind, earliest in HALVES.items():
        possible = assets[kind]
        for subject, area in dice.sample(possible, max(1, len(possible) // 20)):
            start = begin + length * dice.uniform(earliest, earliest + 0.1)
            yield Fault(kind, start, start + length * dice.uniform(0.2, 0.3), subject, area)
    apps = assets[OFFLINE]
    for _, area in dice.sample(apps, max(1, int(len(apps) * OFFLINE_SHARE))):
        start = begin + length * dice.uniform(0.1, 0.5)
        yield Fault(OFFLINE, start, start + length * dice.uniform(0.3, 0.4), "", area)
