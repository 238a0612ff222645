"""How many readings are due in a window, for rules that ask for `expected`. Called by alert.conditions. Pure.

A roster line counts for a window when it is valid at the window's start; its share is the window's length / `every`, where at
least two readings are due.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from citybrain.alert.outcome import moment_of
from citybrain.alert.scopes import Scope
from citybrain.alert.spans import MINUTE, Group
from citybrain.city import City, RosterLine
from citybrain_schemas.events import EVENT_TYPES

EXPECTED = {"series": pl.Int64, "tick": pl.Int64, "expected": pl.Int64}


def expected_rows(city: City, group: Group, scopes: Mapping[int, Scope], asked: pl.DataFrame) -> pl.DataFrame:
    """(series, tick, expected) for every scope and tick that is asked for; null where nothing is due twice."""
    types = {name for name, one in EVENT_TYPES.items() if group.metric in one.metrics}
    lines = _lines(city, group, types)
    rows: list[tuple[int, int, int | None]] = []
    for series, tick in asked.select("series", "tick").unique().iter_rows():
        rows.append((series, tick, _due(lines.get(scopes[series].code, ()), group.width, tick)))
    return pl.DataFrame(rows, schema=EXPECTED, orient="row")


def _lines(city: City, group: Group, types: Iterable[str]) -> dict[str, list[RosterLine]]:
    """The lines that feed each scope, by its code."""
    found: dict[str, list[RosterLine]] = {}
    for line in city.roster.lines:
        if line.every is None or line.type not in types or (line.metrics and group.metric not in line.metrics):
            continue
        for code in (line.subject,) if group.per == "subject" else city.areas.path_at(line.area, line.validity.begin):
            found.setdefault(code, []).append(line)
    return found


def _due(lines: Iterable[RosterLine], width: int, tick: int) -> int | None:
    length, start = width * MINUTE, moment_of(tick - width)
    due = [length / line.every for line in lines if line.every and 2 * line.every <= length and line.validity.holds(start)]
    return int(sum(due)) if due else None
