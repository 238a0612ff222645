"""Numbers as Grafana writes them, with their units, and the colours of thresholds. Used by panels. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

ZONE = timezone(timedelta(hours=8))
COLOURS = {
    "green": "#3a8f45", "orange": "#d9730d", "red": "#cf2233", "dark-red": "#a3121f", "blue": "#2b6cc4", "text": "#24292e",
}  # fmt: skip
PALETTE = (
    "#4f8f3f",
    "#d99a1c",
    "#2f9db5",
    "#d9661f",
    "#c43c3c",
    "#1f68b0",
    "#9a3d92",
    "#5f5299",
    "#3f6833",
    "#967302",
    "#2f575e",
)
_SCALED = {"short": "", "kwatth": " kWh", "ops": " ops/s", "reqps": " req/s", "eps": " evt/s"}
_BYTES = {"bytes": (1024, (" B", " KiB", " MiB", " GiB", " TiB")), "Bps": (1000, (" B/s", " kB/s", " MB/s", " GB/s", " TB/s"))}
_FIXED = {"pressurekpa": " kPa", "volt": " V", "celsius": " °C", "percent": "%", "m3": " m³"}
_SPANS = (
    (86_400 * 365, "year", "年"),
    (86_400 * 7, "week", "周"),
    (86_400, "day", "天"),
    (3600, "hour", "小时"),
    (60, "min", "分钟"),
)


def written(value: object, unit: str, language: str, now: datetime) -> str:
    """A value of a query as a panel shows it; empty for none."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(ZONE).strftime("%Y-%m-%d %H:%M")
    if not isinstance(value, int | float | Decimal):
        return str(value)
    number = float(value)
    if unit == "dateTimeFromNow":
        return _ago(now.timestamp() - number / 1000, language)
    if unit == "s":
        return _span(number, language)
    return number_of(number, unit)


def number_of(number: float, unit: str) -> str:
    """A number with its unit."""
    if unit == "percentunit":
        return f"{_digits(number * 100)}%"
    if unit.startswith("suffix:"):
        return f"{_digits(number)}{unit.removeprefix('suffix:')}"
    if unit in _FIXED:
        return f"{_digits(number)}{_FIXED[unit]}"
    if unit == "s":
        return _span(number, "en")
    base, names = _BYTES.get(unit, (1000, tuple(f"{prefix}{_SCALED.get(unit, '')}" for prefix in ("", " K", " Mil", " Bil"))))
    place = max((n for n in range(len(names)) if abs(number) >= base**n), default=0)
    return f"{_digits(number / base**place)}{names[place]}"


def _digits(number: float) -> str:
    """Three figures that count, no zeros at the end."""
    places = 0 if number == 0 else max(0, min(3, 2 - math.floor(math.log10(abs(number)))))
    text = f"{number:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _span(seconds: float, language: str) -> str:
    for size, english, chinese in _SPANS:
        if seconds >= size:
            count = _digits(seconds / size)
            return f"{count} {chinese}" if language == "zh" else f"{count} {english}{'s' * (count != '1' and english != 'min')}"
    if 0 < seconds < 1:
        return f"{_digits(seconds * 1000)} {'毫秒' if language == 'zh' else 'ms'}"
    return f"{_digits(seconds)} {'秒' if language == 'zh' else 's'}"


def _ago(seconds: float, language: str) -> str:
    span = _span(max(0.0, math.floor(seconds)), language)
    return f"{span}前" if language == "zh" else f"{span} ago"


def colour_of(value: object, thresholds: Mapping[str, Any] | None) -> str:
    """The colour of the last threshold that a number has reached."""
    if thresholds is None or not isinstance(value, int | float | Decimal):
        return COLOURS["text"]
    found = COLOURS["text"]
    for step in thresholds["steps"]:
        if step["value"] is None or value >= step["value"]:
            found = COLOURS[step["color"]]
    return found


def ticks(least: float, most: float, count: int = 4) -> list[float]:
    """Round numbers that span what is drawn."""
    if most <= least:
        most = least + 1
    raw = (most - least) / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    first = math.floor(least / step)
    return [step * n for n in range(first, math.ceil(most / step) + 1)]
