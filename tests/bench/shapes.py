"""Three shapes of load, as posts and as raw rows: dense sensors, many meters, a backlog. Times end at the given moment."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class Shape:
    """So many subjects, each sending once a period, `events` in all, in the order of time (a backlog: by subject)."""

    name: str
    events: int
    subjects: int
    period: timedelta
    type: str
    by_subject: bool = False

    def posts(self, grids: list[str], end: datetime, seed: int = 1) -> Iterator[dict[str, Any]]:
        dice = random.Random(seed)
        rounds = self.events // self.subjects
        begin = end - rounds * self.period
        offsets = [dice.random() * self.period for _ in range(self.subjects)]
        order = sorted(range(self.subjects), key=lambda n: offsets[n])
        pairs = (
            ((n, k) for n in order for k in range(rounds)) if self.by_subject else ((n, k) for k in range(rounds) for n in order)
        )
        for n, k in pairs:
            yield self._event(n, begin + k * self.period + offsets[n], grids[n % len(grids)], dice, k)

    def _event(self, n: int, at: datetime, grid: str, dice: random.Random, k: int) -> dict[str, Any]:
        if self.type == "parking.occupancy":
            subject, data = f"lot-{n:05d}", {"occupied": dice.randrange(200), "capacity": 220}
        else:
            quantity, unit = ("register", "m³") if self.name == "registers" else ("flow", "m³/h")
            value = round(n + k * 0.25, 3) if quantity == "register" else round(dice.random() * 10, 3)
            subject, data = f"meter-{n:06d}", {"medium": "water", "quantity": quantity, "value": value, "unit": unit}
        return {
            "specversion": "1.0", "id": "".join(dice.choices(ALPHABET, k=26)), "source": f"/bench/gateway-{n % 20}",
            "type": self.type, "time": at.isoformat(), "subject": subject, "area": grid, "data": data,
        }  # fmt: skip


def shapes(events: int) -> list[Shape]:
    """The shapes of docs/architecture.md."""
    return [
        Shape("dense", events + 1_000, 1_000, timedelta(seconds=6), "parking.occupancy"),
        Shape("meters", max(events // 100_000 + 1, 3) * 100_000, 100_000, timedelta(minutes=15), "utility.reading"),
        Shape("registers", max(events // 100_000 + 1, 3) * 100_000, 100_000, timedelta(minutes=15), "utility.reading"),
        Shape("backlog", 30 * 2016, 30, timedelta(minutes=30), "parking.occupancy", by_subject=True),
    ]


def bodies(posts: Iterator[dict[str, Any]], size: int) -> list[bytes]:
    """Arrays of so many events, encoded before the clock starts."""
    found, part = [], []
    for post in posts:
        part.append(post)
        if len(part) == size:
            found.append(json.dumps(part, ensure_ascii=False, separators=(",", ":")).encode())
            part = []
    return [*found, json.dumps(part, ensure_ascii=False, separators=(",", ":")).encode()] if part else found
