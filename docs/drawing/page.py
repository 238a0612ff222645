"""A dashboard as one picture: its title, its choices, its rows and panels on Grafana's grid. Called by draw_dashboards. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drawing.figures import ZONE
from drawing.panels import Frame, Row, drawn
from drawing.svg import FONTS, box, label

WIDTH, COLUMN, LINE, GAP, HEAD = 1200, 50, 27, 8, 54
_STYLE = f"""
text {{ font: 12px {FONTS}; fill: #24292e }}
.page {{ fill: #f4f5f7 }} .panel {{ fill: #fff; stroke: #dcdfe4 }} .grid {{ stroke: #e6e8eb; fill: none }}
.line {{ fill: none; stroke-width: 1.5; stroke-linejoin: round }} .area {{ fill: #eef2ee; stroke: #a9b5aa }}
.name {{ font-size: 20px; font-weight: 600 }} .row {{ font-size: 14px; font-weight: 600 }}
.title {{ font-size: 13px; font-weight: 600 }}
.head {{ font-weight: 600; fill: #57606a }} .small {{ font-size: 11px; fill: #57606a }}
.middle {{ text-anchor: middle }} .end {{ text-anchor: end }} .figure {{ text-anchor: middle; font-weight: 600 }}
.none {{ text-anchor: middle; font-size: 14px; fill: #6e7781 }}
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What a picture is made of: a dashboard's file, each panel's rows by its id, outlines of areas, and what was chosen."""

    document: Mapping[str, Any]
    rows: Mapping[int, Sequence[Row]]
    shapes: Sequence[str]
    chosen: str
    begin: datetime
    end: datetime
    language: str


def picture(told: Told) -> str:
    """The whole dashboard as SVG."""
    panels = told.document["panels"]
    height = HEAD + LINE * max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in panels) + GAP
    title = told.document["title"]
    about = f'viewBox="0 0 {WIDTH + GAP} {height}" role="img" aria-labelledby="title" lang="{told.language}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {about}>',
        f'<title id="title">{title}</title>',
        f"<style>{_STYLE}</style>",
        box(0, 0, WIDTH + GAP, height, "page"),
        label(GAP + 4, 34, title, "name"),
        label(WIDTH - 4, 34, f"{told.chosen} · {_range(told)}", "end small"),
    ]
    for one in panels:
        place = one["gridPos"]
        x, y = GAP + COLUMN * place["x"] - (GAP // 2) * (place["x"] > 0), HEAD + LINE * place["y"]
        if one["type"] == "row":
            parts.append(label(x + 4, y + 18, f"▾ {one['title']}", "row"))
            continue
        right = COLUMN * (place["x"] + place["w"]) - (GAP // 2 if place["x"] + place["w"] < 24 else 0) + GAP // 2
        frame = Frame(x, y, right - x, LINE * place["h"] - GAP, told.language, told.begin, told.end)
        parts.append(drawn(one, told.rows[one["id"]], frame, told.shapes))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _range(told: Told) -> str:
    begin, end = (at.astimezone(ZONE).strftime("%Y-%m-%d %H:%M") for at in (told.begin, told.end))
    return f"{begin} – {end}"
