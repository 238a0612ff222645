"""What a dashboard is made of, before it is Grafana's: rows of panels with their queries, in both languages. Pure.

Used by the modules of dashboards to say what they show, by panels.py and board.py to build it, by tests to check it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from city_dashboards.words import NO_READING, Words

Shape = Literal["chart", "bars", "stat", "table", "map"]
Limits = tuple[tuple[float | None, str], ...]  # from a value on (None: from the beginning) a colour

CALM: Limits = ((None, "green"),)
PLAIN: Limits = ((None, "text"),)
NONE_IS_GOOD: Limits = ((None, "green"), (1, "orange"))
FULLNESS: Limits = ((None, "green"), (0.85, "orange"), (0.95, "red"))
SILENCE_S: Limits = ((None, "green"), (2700, "orange"), (86_400, "red"))


@dataclass(frozen=True, slots=True)
class Sql:
    """A query of `sql/FILE.sql` by FILE/NAME; `given` fills its <<marks>>."""

    name: str
    given: Mapping[str, str | Words] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prom:
    """An expression of PromQL, and what its series are called."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Column:
    """How a column of a table, or a value of a stat, looks. Without a title it is hidden."""

    name: str
    title: Words | None
    unit: str | None = None
    limits: Limits | None = None
    link: str | None = None  # a name of links.py
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `unit` is Grafana's name of a unit; `width` counts 24 columns, `height` rows of 30 pixels."""

    shape: Shape
    title: Words
    about: Words
    query: Sql | tuple[Prom, ...]
    unit: str
    width: int = 8
    height: int = 8
    limits: Limits = CALM
    columns: tuple[Column, ...] = ()
    empty: Words = NO_READING
    least: float | None = None
    most: float | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a title, laid from left to right."""

    title: Words
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice: from a query, from a list of (value, words), a text that is typed, or a fixed text."""

    name: str
    title: Words
    query: str | None = None
    options: tuple[tuple[str, Words], ...] = ()
    fixed: str | None = None
    hidden: bool = False
    metrics: bool = False  # its query is one of Prometheus


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard; its uid is citybrain-NAME-LANGUAGE."""

    name: str
    title: Words
    about: Words
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...]
    since: str = "now-24h"
    refresh: str = "1m"
    alerts: bool = True  # marks the alerts of the area in its charts
