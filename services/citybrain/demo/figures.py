"""What a running city says of itself, read over HTTP. Called by play. Never posts, never draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from citybrain.client.http import CityClient

LOTS = 6
HOURS, MINUTES = 24, 30
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Lot:
    """One car park: its latest reading, and its share of occupied spaces by hour and by minute (None: no reading)."""

    subject: str
    area: str
    occupied: float | None = None
    ratio: float | None = None
    hours: tuple[float | None, ...] = ()
    minutes: tuple[float | None, ...] = ()

    def query(self, metric: str, step: str) -> dict[str, str]:
        """The question for one of its series."""
        return {"metric": metric, "area": self.area, "subject": self.subject, "step": step}


@dataclass(frozen=True, slots=True)
class Grid:
    """Windows side by side: the first one's start, their length, and how many."""

    begin: datetime
    step: timedelta
    count: int

    def placed(self, points: Iterable[Mapping[str, Any]]) -> tuple[float | None, ...]:
        """The value of every window, None where there is no point or a silent one."""
        found: list[float | None] = [None] * self.count
        for point in points:
            place = (datetime.fromisoformat(point["start"]) - self.begin) // self.step
            if 0 <= place < self.count:
                found[place] = point["value"]
        return tuple(found)


@dataclass
class Figures:
    """The last answers of the city."""

    status: dict[str, Any] = field(default_factory=dict)
    city: str = ""
    heard: dict[str, datetime] = field(default_factory=dict)
    areas: dict[str, str] = field(default_factory=dict)
    lots: list[Lot] = field(default_factory=list)

    def count(self, name: str) -> int:
        """One of the status's five figures; 0 when it is not there."""
        return int(self.status.get(name) or 0)

    @property
    def lag(self) -> int:
        """Records and rows that wait, of all roles."""
        roles = self.status.get("roles", {})
        return sum(int(role.get("lag") or 0) for role in roles.values() if isinstance(role, dict))


async def all_items(client: CityClient, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
    """Every item of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await client.get(path, query | ({"cursor": cursor} if cursor else {}))
        found += page["items"]
        cursor = page.get("next")
    return found


async def read_places(client: CityClient, figures: Figures) -> None:
    """The city's own code, and of every asset its area and when it was heard last."""
    for area in await all_items(client, "/v1/areas", {}):
        if area["level"] == "city":
            figures.city = str(area["code"])
    for asset in await all_items(client, "/v1/assets", {}):
        subject, seen = str(asset["subject"]), asset.get("last_seen")
        figures.areas[subject] = str(asset.get("area") or "")
        if seen:
            figures.heard[subject] = max(datetime.fromisoformat(seen), figures.heard.get(subject, datetime.fromisoformat(seen)))


async def read_lot(client: CityClient, lot: Lot, now: datetime) -> Lot:
    """The lot with its latest figures."""
    begin = now.replace(second=0, microsecond=0) - (MINUTES - 1) * MINUTE
    minutes = await _read(client, lot.query("parking.occupied_ratio", "1m"), Grid(begin, MINUTE, MINUTES))
    spaces = await _read(client, lot.query("parking.occupied", "1m"), Grid(begin, MINUTE, MINUTES))
    begin = now.replace(minute=0, second=0, microsecond=0) - (HOURS - 1) * HOUR
    hours = await _read(client, lot.query("parking.occupied_ratio", "1h"), Grid(begin, HOUR, HOURS))
    occupied = next((one for one in reversed(spaces) if one is not None), None)
    ratio = next((one for one in reversed((*hours, *minutes)) if one is not None), None)
    return Lot(lot.subject, lot.area, occupied, ratio, hours, minutes)


async def _read(client: CityClient, query: dict[str, str], grid: Grid) -> tuple[float | None, ...]:
    span = {"from": grid.begin.isoformat(), "to": (grid.begin + grid.count * grid.step).isoformat()}
    return grid.placed((await client.get("/v1/series", query | span))["points"])
