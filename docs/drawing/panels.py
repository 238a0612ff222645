"""Each shape of panel as SVG, from the panel of the dashboard's file and the rows of its query. Used by page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drawing.charts import bars, lines
from drawing.figures import COLOURS, colour_of, written
from drawing.map import circles
from drawing.svg import box, fitting, label, width_of

Row = Mapping[str, Any]
TITLE, LINE = 24, 22  # pixels of a title, of a row of a table


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a panel is drawn, in which language, as of when, for which range of time."""

    x: float
    y: float
    width: float
    height: float
    language: str
    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Looks:
    """How a column looks, by the panel's overrides."""

    title: str
    hidden: bool
    unit: str
    thresholds: Mapping[str, Any] | None
    link: bool
    width: float | None


def drawn(panel: Mapping[str, Any], rows: Sequence[Row], frame: Frame, shapes: Sequence[str]) -> str:
    """A panel with its title. `shapes` are outlines of areas, for a map."""
    title = panel["title"]
    head = box(frame.x, frame.y, frame.width, frame.height, "panel", rx="3")
    head += label(frame.x + 8, frame.y + 17, fitting(title, 13, frame.width - 16), "title")
    inner = Frame(frame.x + 8, frame.y + TITLE, frame.width - 16, frame.height - TITLE - 8, *_rest(frame))
    if not rows and panel["type"] != "geomap":
        return head + label(
            frame.x + frame.width / 2, frame.y + frame.height / 2 + 8, panel["fieldConfig"]["defaults"]["noValue"], "none"
        )
    match panel["type"]:
        case "stat":
            return head + _stat(panel, rows[0], inner)
        case "table":
            return head + _table(panel, rows, inner)
        case "geomap":
            return head + circles(rows, shapes, (inner.x, inner.y, inner.width, inner.height))
        case _:
            stacked = panel["fieldConfig"]["defaults"]["custom"].get("drawStyle") == "bars"
            return head + (bars if stacked else lines)(panel, rows, inner)


def _rest(frame: Frame) -> tuple[str, datetime, datetime]:
    return frame.language, frame.begin, frame.end


def looks(panel: Mapping[str, Any], name: str) -> Looks:
    """Defaults of the panel, and what its overrides say of a column."""
    defaults = panel["fieldConfig"]["defaults"]
    found: dict[str, Any] = {}
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byName", "options": name}:
            found |= {one["id"]: one["value"] for one in override["properties"]}
    default = defaults["thresholds"] if panel["type"] == "stat" else None
    return Looks(
        found.get("displayName", name),
        bool(found.get("custom.hidden")),
        found.get("unit", defaults["unit"]),
        found.get("thresholds", default),
        "links" in found,
        found.get("custom.width"),
    )


def _stat(panel: Mapping[str, Any], row: Row, frame: Frame) -> str:
    """One figure large, or several side by side with their names."""
    names = [name for name in row if not looks(panel, name).hidden]
    cell = frame.width / len(names)
    found = ""
    for n, name in enumerate(names):
        how = looks(panel, name)
        text = written(row[name], how.unit, frame.language, frame.end)
        middle, several = frame.x + cell * (n + 0.5), len(names) > 1
        size = min(34.0 if not several else 28.0, 26 * cell / max(1.0, width_of(text, 30)))
        y = frame.y + frame.height / 2 + size * (0.1 if several else 0.3)
        found += label(middle, y, text, "figure", font_size=f"{size:.0f}px", fill=colour_of(row[name], how.thresholds))
        if several:
            found += label(middle, y + 20, fitting(how.title, 12, cell - 4), "middle small")
    return found


def _table(panel: Mapping[str, Any], rows: Sequence[Row], frame: Frame) -> str:
    """As many rows as there is room for, and how many there are besides."""
    names = [name for name in rows[0] if not looks(panel, name).hidden]
    room = int(frame.height // LINE) - 1
    shown = rows if len(rows) <= room else rows[: room - 1]
    widths = _widths(panel, names, shown, frame)
    found, x = "", frame.x
    for name, width in zip(names, widths, strict=True):
        how = looks(panel, name)
        found += label(x + 2, frame.y + 15, fitting(how.title, 12, width - 8), "head")
        for n, row in enumerate(shown):
            text = fitting(written(row[name], how.unit, frame.language, frame.end), 12, width - 8)
            colour = COLOURS["blue"] if how.link else colour_of(row[name], how.thresholds)
            more = {} if colour == COLOURS["text"] else {"fill": colour}
            found += label(x + 2, frame.y + 15 + LINE * (n + 1), text, **more)
        x += width
    for n in range(len(shown)):
        y = frame.y + LINE * (n + 1)
        found += f'<path class="grid" d="M{frame.x:.0f} {y:.0f}h{frame.width:.0f}"/>'
    if len(shown) < len(rows):
        besides = f"… 另有 {len(rows) - len(shown)} 行" if frame.language == "zh" else f"… {len(rows) - len(shown)} more"
        found += label(frame.x + 2, frame.y + 15 + LINE * (len(shown) + 1), besides, "small")
    return found


def _widths(panel: Mapping[str, Any], names: Sequence[str], rows: Sequence[Row], frame: Frame) -> list[float]:
    """By what is in the columns."""
    wanted = []
    for name in names:
        how = looks(panel, name)
        texts = [how.title, *(written(row[name], how.unit, frame.language, frame.end) for row in rows)]
        wanted.append(min(260.0, max(width_of(text, 12) for text in texts) + 14))
    return [width * frame.width / sum(wanted) for width in wanted]
