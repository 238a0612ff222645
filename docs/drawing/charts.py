"""Lines and stacked bars over time, with axes and a legend. Used by panels. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from drawing.figures import PALETTE, ZONE, number_of, ticks
from drawing.svg import fitting, label, line, width_of

if TYPE_CHECKING:
    from drawing.panels import Frame

Row = Mapping[str, Any]
_AXIS, _FOOT = 58, 40  # pixels left of a chart, below it
_STEPS = [timedelta(minutes=minutes) for minutes in (2, 10, 30, 60, 240)]  # of the axis of time; days beyond
_MOST_POINTS = 220  # of a line: a pixel is no wider


class _Scale:
    """From times and values to pixels."""

    def __init__(self, frame: Frame, marks: Sequence[float]) -> None:
        self.left, self.top = frame.x + _AXIS, frame.y + 4
        self.width, self.height = frame.width - _AXIS - 4, frame.height - _FOOT - 4
        self.begin, self.length = frame.begin, frame.end - frame.begin
        self.least, self.most = marks[0], marks[-1]

    def x(self, at: datetime) -> float:
        return self.left + self.width * ((at - self.begin) / self.length)

    def y(self, value: float) -> float:
        return self.top + self.height * (1 - (value - self.least) / (self.most - self.least))


def lines(panel: Mapping[str, Any], rows: Sequence[Row], frame: Frame) -> str:
    """A line a name; a row without a value ends it."""
    defaults = panel["fieldConfig"]["defaults"]
    values = [float(row["value"]) for row in rows if row["value"] is not None]
    marks = ticks(defaults.get("min", min(values)), defaults.get("max", max(values)))
    scale = _Scale(frame, marks)
    found, names = _axes(scale, frame, marks, defaults["unit"]), _names(rows)
    for n, name in enumerate(names):
        for piece in _pieces([row for row in rows if row["metric"] == name]):
            points = [(scale.x(at), scale.y(value)) for at, value in _fewer(piece)]
            if len(points) > 1:
                found += f'<path class="line" stroke="{_colour(n)}" d="{line(points)}"/>'
            else:
                found += f'<circle cx="{points[0][0]:.0f}" cy="{points[0][1]:.0f}" r="2" fill="{_colour(n)}"/>'
    return found + _legend(names, frame)


def bars(panel: Mapping[str, Any], rows: Sequence[Row], frame: Frame) -> str:
    """Bars of each moment on top of each other."""
    names = _names(rows)
    heights: dict[datetime, float] = {}
    for row in rows:
        heights[row["time"]] = heights.get(row["time"], 0.0) + float(row["value"])
    marks = ticks(0, max(heights.values()))
    scale = _Scale(frame, marks)
    found = _axes(scale, frame, marks, panel["fieldConfig"]["defaults"]["unit"])
    length = frame.end - frame.begin
    bucket = (
        timedelta(hours=1)
        if length <= timedelta(hours=25)
        else timedelta(days=1)
        if length <= timedelta(days=62.5)
        else timedelta(days=7)
    )
    width = max(1.0, scale.width * (bucket / length) * 0.8)
    tops = dict.fromkeys(heights, 0.0)
    for n, name in enumerate(names):
        path = ""
        for row in (row for row in rows if row["metric"] == name):
            at, value = row["time"], float(row["value"])
            low, high = scale.y(tops[at]), scale.y(tops[at] + value)
            tops[at] += value
            path += f"M{scale.x(at):.0f} {low:.0f}h{width:.0f}V{high:.0f}h-{width:.0f}z"
        found += f'<path fill="{_colour(n)}" fill-opacity=".85" d="{path}"/>'
    return found + _legend(names, frame)


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["metric"] for row in rows))


def _colour(n: int) -> str:
    return PALETTE[n % len(PALETTE)]


def _pieces(rows: Sequence[Row]) -> list[list[tuple[datetime, float]]]:
    """What lies between silences."""
    found: list[list[tuple[datetime, float]]] = [[]]
    for row in rows:
        if row["value"] is None:
            found.append([])
        else:
            found[-1].append((row["time"], float(row["value"])))
    return [piece for piece in found if piece]


def _fewer(piece: Sequence[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    """The least and the greatest of so many points that a pixel has one."""
    size = max(1, len(piece) * 2 // _MOST_POINTS)
    if size < 3:
        return list(piece)
    found: list[tuple[datetime, float]] = []
    for n in range(0, len(piece), size):
        part = piece[n : n + size]
        found += sorted({min(part, key=lambda one: one[1]), max(part, key=lambda one: one[1])})
    return found


def _axes(scale: _Scale, frame: Frame, marks: Sequence[float], unit: str) -> str:
    found = ""
    for mark in marks:
        y = scale.y(mark)
        found += f'<path class="grid" d="M{scale.left:.0f} {y:.0f}h{scale.width:.0f}"/>'
        found += label(scale.left - 5, y + 4, number_of(mark, unit), "small end")
    length = frame.end - frame.begin
    days = timedelta(days=max(1, round(length / timedelta(days=7))))
    step = next((one for one in _STEPS if length <= 8 * one), days)
    form = "%H:%M" if step < timedelta(days=1) else "%m-%d"
    begin = frame.begin.astimezone(ZONE)
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + step * math.ceil((begin - midnight) / step)
    while at < frame.end:
        if frame.begin + length * 0.03 < at < frame.end - length * 0.03:
            found += label(scale.x(at), scale.top + scale.height + 15, at.strftime(form), "small middle")
        at += step
    return found


def _legend(names: Sequence[str], frame: Frame) -> str:
    """Names beside their colours, as many as fit on a line."""
    found, x, y = "", frame.x + 4, frame.y + frame.height - 4
    for n, name in enumerate(names):
        text = fitting(name, 11, 150)
        if x + width_of(text, 11) + 20 > frame.x + frame.width and n:
            return found + label(x, y, "…", "small")
        found += f'<path stroke="{_colour(n)}" stroke-width="3" d="M{x:.0f} {y - 4:.0f}h12"/>' + label(x + 16, y, text, "small")
        x += width_of(text, 11) + 30
    return found
