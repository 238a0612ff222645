"""The demo in the terminal: a live picture, or plain lines where there is none. Called by play. Pure: figures in, text out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from urllib.parse import quote, urlencode

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from citybrain.demo.figures import Figures, Lot

BLOCKS = "▁▂▃▄▅▆▇█"
SILENT = "·"


@dataclass
class Progress:
    """How far the demo is: posted of `history`, then of life; `per_second` over the last seconds."""

    history: int = 0
    posted: int = 0
    rejected: int = 0
    settling: bool = False
    living: bool = False
    per_second: float = 0.0
    trouble: str = ""

    def words(self) -> str:
        """One phrase."""
        if self.trouble:
            return f"waiting for the city: {self.trouble}"
        if self.living:
            return f"live, {self.per_second:,.1f} events/s"
        if self.settling:
            return f"history posted, {self.posted:,} events; the city works through them"
        return f"playing history {self.posted:,}/{self.history:,}, {self.per_second:,.0f} events/s"


def sparkline(values: Sequence[float | None], top: float = 1.0) -> str:
    """One block a value, from 0 to `top`; silence is a dot, never the lowest block."""
    return "".join(
        SILENT if one is None else BLOCKS[min(max(int(one / top * len(BLOCKS)), 0), len(BLOCKS) - 1)] for one in values
    )


def plain_line(progress: Progress, figures: Figures) -> str:
    """Where all stands, on one line."""
    busiest = max(figures.lots, key=lambda lot: lot.ratio or 0.0, default=None)
    lot = f" · {busiest.subject} {busiest.ratio:.0%} full" if busiest and busiest.ratio is not None else ""
    return f"{progress.words()} · {_counts(figures)}{lot}"


def _counts(figures: Figures) -> str:
    names = ("accepted", "stored", "repeated", "conflicts", "dead")
    return " · ".join([*(f"{name} {figures.count(name):,}" for name in names), f"lag {figures.lag:,}"])


def picture(progress: Progress, figures: Figures, url: str) -> Panel:
    """Everything that moves, to be drawn again and again."""
    table = Table(expand=True, box=None, pad_edge=False)
    table.add_column("car park", min_width=12, no_wrap=True)
    table.add_column("occupied", justify="right", min_width=8, no_wrap=True)
    table.add_column("full", justify="right", min_width=5, no_wrap=True)
    table.add_column("by hour, one day", no_wrap=True, overflow="crop")
    table.add_column("by minute", no_wrap=True, overflow="crop")
    for lot in figures.lots:
        table.add_row(*_row(lot))
    head = Text(progress.words(), style="bold")
    refused = Text(f"{progress.rejected:,} refused by the city (readings below zero are real defects of the sample)", style="dim")
    return Panel(Group(head, Text(_counts(figures)), refused, Text(), table), title=f"citybrain · {url}", border_style="cyan")


def _row(lot: Lot) -> tuple[Text, Text, Text, Text, Text]:
    occupied = "–" if lot.occupied is None else f"{lot.occupied:,.0f}"
    ratio = "–" if lot.ratio is None else f"{lot.ratio:.0%}"
    style = "red" if (lot.ratio or 0.0) >= 0.95 else ""
    cells = (lot.subject, occupied, ratio, sparkline(lot.hours), sparkline(lot.minutes))
    return tuple(Text(cell, style=style) for cell in cells)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Guide:
    """Writes commands that work as they stand, for this city, this key and this moment."""

    url: str
    key: str = field(repr=False)
    now: datetime

    def what_to_open(self, figures: Figures, hole: tuple[datetime, datetime] | None) -> str:
        """What a newcomer should look at next; `hole` is a long silence of district 7."""
        lines = [f"Open next: {self.url}/docs", "", self._get("how the city is", "/v1/status")]
        lots = figures.lots[:1]
        lines += [
            self._series(f"{lot.subject}, by hour", timedelta(days=1), lot.query("parking.occupied_ratio", "1h")) for lot in lots
        ]
        if figures.city:
            month = timedelta(days=30)
            lines.append(
                self._series("the city's water, by day", month, {"metric": "water.flow", "area": figures.city, "step": "1d"})
            )
            lines.append(self._series("and its heat", month, {"metric": "heat.consumption", "area": figures.city, "step": "1d"}))
        if hole:
            span = {"from": _stamp(hole[0]), "to": _stamp(hole[1])}
            lines.append(self._get("a real silence: shown, never as zero", "/v1/assets/dma-07/holes", span))
        lines.append(self._get("what was posted last", "/v1/events", {"limit": "3"}))
        lines += [self._post(lot) for lot in lots]
        return "\n".join(lines)

    def _curl(self, about: str, rest: str) -> str:
        return f"# {about}\ncurl -s -H 'Authorization: Bearer {self.key}' {rest}"

    def _get(self, about: str, path: str, query: Mapping[str, str] = MappingProxyType({})) -> str:
        return self._curl(about, f"'{self.url}{path}{'?' if query else ''}{urlencode(query, quote_via=quote)}'")

    def _series(self, about: str, back: timedelta, query: dict[str, str]) -> str:
        return self._get(about, "/v1/series", query | {"from": _stamp(self.now - back), "to": _stamp(self.now)})

    def _post(self, lot: Lot) -> str:
        event = {
            "specversion": "1.0",
            "id": "my-first-event",
            "source": "/me",
            "type": "parking.occupancy",
            "time": _stamp(self.now),
        }
        text = json.dumps({**event, "subject": lot.subject, "data": {"occupied": 1, "capacity": 1000}})
        return self._curl("an event of your own", f"-H 'Content-Type: application/json' -d '{text}' '{self.url}/v1/events'")


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
