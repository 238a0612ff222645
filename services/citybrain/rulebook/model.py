"""What a rule book says, once it was found right. Made by `read`; used by alert, the API and the command line. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import polars as pl

from citybrain.city.literals import Name

Per = Literal["subject", "grid", "community", "street", "district", "city"]
NoData = Literal["keep", "ok", "fire"]
Severity = Literal["info", "warning", "major", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "major", "critical")
COLUMNS = ("value", "subjects", "count", "sum", "min", "max", "avg", "last", "expected", "previous")
SOURCE_SILENT = "source_silent"


@dataclass(frozen=True, slots=True)
class Condition:
    """A SQL boolean over the columns of a window. Null where a column that it needs is null: then it does not hold."""

    text: str
    columns: frozenset[str]  # without `previous`: what that is of is in `previous_of`
    previous_of: frozenset[str]  # columns that are needed of the window one earlier, too: named `previous_avg` …
    expression: pl.Expr  # over columns named as in `columns` and `previous_of`; Boolean, three-valued
    watched: tuple[str, Literal["max", "min"]]  # the column that says how bad it is, and which of its values is the worst


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While the rule fires, alerts of `rule` in the same place of each level named are not told."""

    rule: str
    same: tuple[str, ...]  # levels of area, "subject" or labels


@dataclass(frozen=True, slots=True)
class Rule:
    """What all kinds have. `line` is where it begins in `file`."""

    name: str
    title: Name
    per: Per
    severity: Severity
    labels: Mapping[str, str]
    annotations: Mapping[str, str]  # templates by language; empty: the title
    hold: timedelta  # `for`
    keep_firing_for: timedelta
    lateness: timedelta | None  # None: that of the profile
    early: bool
    inhibits: tuple[Inhibition, ...]
    renamed_from: str | None
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Threshold(Rule):
    """kind: threshold, and change (which uses `previous`)."""

    metric: str
    window: timedelta  # whole minutes
    tumbling: bool  # windows follow each other: only ticks at whole multiples of `window` since 1970 are looked at
    when: Condition
    clear: Condition | None  # None: not `when`
    no_data: NoData


@dataclass(frozen=True, slots=True)
class Absence(Rule):
    """kind: absence. `per` is subject."""

    of: str  # a sensor's event type
    longer_than: timedelta


@dataclass(frozen=True, slots=True)
class Escalation:
    """Tell others, too, when nobody has acknowledged."""

    after: timedelta
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """Which endpoints hear of which alerts, and how often."""

    match: Mapping[str, str]  # over rule, subject, severity, area (any level of the path) and labels
    to: tuple[str, ...]  # names of endpoints
    group_by: tuple[str, ...]  # levels of area, rule, subject, severity, labels
    group_wait: timedelta
    group_interval: timedelta
    repeat_interval: timedelta
    proceed: bool  # `continue: true`
    escalate: tuple[Escalation, ...]
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Expected:
    """An episode that a test expects: the scope's subject or area, and its ticks; `ends` None: it still fires."""

    scope: str
    begins: str | None
    ends: str | None


@dataclass(frozen=True, slots=True)
class RuleTest:
    """Events in, episodes out."""

    rule: str
    events: tuple[Mapping[str, object], ...]
    expect: tuple[Expected, ...]
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rules, routes and tests of all files, in the order of the files' names."""

    rules: tuple[Threshold | Absence, ...] = ()
    routes: tuple[Route, ...] = ()
    tests: tuple[RuleTest, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)  # what was read, by file name


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """The rule book of a stored rule set."""

    version: int
    book: RuleBook
