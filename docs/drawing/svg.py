"""Pieces of SVG: text that is cut where it would not fit, lines, boxes. Used by panels and page. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

FONTS = 'system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif'


def width_of(text: str, size: float) -> float:
    """About how wide a text is: signs of Chinese are square, others half as wide and a little."""
    return sum(size if unicodedata.east_asian_width(sign) in "WF" else size * 0.56 for sign in text)


def fitting(text: str, size: float, width: float) -> str:
    """The text, or its beginning and an ellipsis."""
    if width_of(text, size) <= width:
        return text
    while text and width_of(text + "…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…" if text else ""


def label(x: float, y: float, text: str, kind: str = "", **style: str) -> str:
    """A text at a place; `kind` is a class of the page's style, `style` what differs from it."""
    if not text:
        return ""
    given = ";".join(f"{name.replace('_', '-')}:{value}" for name, value in style.items())
    return f'<text x="{x:.0f}" y="{y:.0f}"{_class(kind)}{given and f" style={quoteattr(given)}"}>{escape(text)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str = "", **more: str) -> str:
    """A rectangle."""
    given = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{_class(kind)}{given}/>'


def line(points: Sequence[tuple[float, float]]) -> str:
    """The path through points, in whole pixels and steps from one to the next."""
    rounded = [(round(x), round(y)) for x, y in points]
    parts = [f"M{rounded[0][0]} {rounded[0][1]}"]
    for (x, y), (next_x, next_y) in pairwise(rounded):
        if (x, y) != (next_x, next_y):
            parts.append(f"l{next_x - x} {next_y - y}")
    return "".join(parts)


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
