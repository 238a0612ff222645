"""Own how calendar.yaml, codes.yaml, departments.yaml and kpis.yaml are read and checked. Called by profile.parse_city;
casework works with what they say. Pure: it computes no deadline and no rate."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Literal, TypeGuard, get_args

from citybrain.city.literals import Name, read_code, read_date, read_text, read_whole
from citybrain.city.mistakes import quote, unknown
from citybrain.city.yaml_document import Document, Node

LimitUnit = Literal["urgent_minute", "urgent_hour", "natural_day", "work_hour", "work_day"]
LIMIT_UNITS: tuple[LimitUnit, ...] = get_args(LimitUnit)
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_MONTH_DAY = re.compile(r"[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class WorkSpan:
    """Working time of a day, in minutes after midnight, the end not included."""

    begin_minute: int
    end_minute: int


@dataclass(frozen=True, slots=True)
class Season:
    """A stretch of each year, both days (month, day) included; it may go over New Year."""

    id: str
    name: Name
    first: tuple[int, int]
    last: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Calendar:
    """When the departments work; days of the week count from Monday, 0."""

    work_hours: tuple[WorkSpan, ...] = ()
    work_days: frozenset[int] = frozenset()
    holidays: frozenset[date] = frozenset()
    make_up_workdays: frozenset[date] = frozenset()
    seasons: tuple[Season, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a case of a condition may take; with a season the clock stands outside of it."""

    value: int
    unit: LimitUnit
    season: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A filing condition and its limit."""

    id: str
    name: Name | None
    limit: Limit


@dataclass(frozen=True, slots=True)
class CaseClass:
    """A class of events or components with its filing conditions."""

    code: str
    name: Name
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Codes:
    """The classes that cases are filed under."""

    events: tuple[CaseClass, ...] = ()
    components: tuple[CaseClass, ...] = ()


@dataclass(frozen=True, slots=True)
class Department:
    """Who handles the classes whose codes begin with one of those listed, in `areas` (everywhere when empty)."""

    id: str
    name: Name
    events: tuple[str, ...]
    components: tuple[str, ...]
    areas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kpi:
    """A rate: numerator / denominator, as the city words them, under an id and a version."""

    id: str
    version: int
    name: Name
    numerator: str
    denominator: str


def read_calendar(document: Document) -> Calendar:
    """calendar.yaml."""
    optional = ("holidays", "make_up_workdays", "seasons")
    fields = document.fields(document.root, ("work_hours", "work_days"), optional)
    spans = document.read_each(fields.get("work_hours"), _read_span)
    if any(after.begin_minute < before.end_minute for before, after in pairwise(spans)):
        document.wrong(fields["work_hours"], "a stretch begins before the one above it ends")
    holidays = frozenset(document.read_each(fields.get("holidays"), read_date))
    make_up_workdays = document.read_each(fields.get("make_up_workdays"), read_date)
    for day in make_up_workdays:
        if day in holidays:
            document.wrong(fields["make_up_workdays"], f"{day} is a holiday too")
    return Calendar(
        tuple(spans),
        frozenset(document.read_each(fields.get("work_days"), _read_week_day)),
        holidays,
        frozenset(make_up_workdays),
        tuple(_season(document, item) for item in document.items(fields.get("seasons"))),
    )


def read_codes(document: Document, seasons: Collection[str]) -> Codes:
    """codes.yaml; a limit may name a season of the calendar."""
    fields = document.fields(document.root, (), ("events", "components"))
    return Codes(_classes(document, fields.get("events"), seasons), _classes(document, fields.get("components"), seasons))


def read_departments(document: Document, codes: Codes, areas: Collection[str] | None) -> tuple[Department, ...]:
    """departments.yaml; `events` and `components` are beginnings of the classes' codes, `areas` are codes of the hierarchy."""

    def read_area(text: str) -> str:
        if areas is not None and text not in areas:
            raise ValueError(f"no area has the code {quote(text)}")
        return text

    found: list[Department] = []
    for item in document.items(document.fields(document.root, ("departments",)).get("departments")):
        fields = document.fields(item, ("id", "name"), ("events", "components", "areas"))
        id_ = _id(document, fields.get("id"), [one.id for one in found])
        events = _beginnings(document, fields.get("events"), codes.events)
        components = _beginnings(document, fields.get("components"), codes.components)
        where = tuple(document.read_each(fields.get("areas"), read_area))
        found.append(Department(id_, document.name(fields.get("name")), events, components, where))
    return tuple(found)


def read_kpis(document: Document) -> tuple[Kpi, ...]:
    """kpis.yaml; an id may be there in several versions."""
    found: list[Kpi] = []
    for item in document.items(document.fields(document.root, ("kpis",)).get("kpis")):
        fields = document.fields(item, ("id", "version", "name", "numerator", "denominator"))
        kpi = Kpi(
            document.read(fields.get("id"), read_code, ""),
            document.read(fields.get("version"), read_whole, 0),
            document.name(fields.get("name")),
            document.read(fields.get("numerator"), read_text, ""),
            document.read(fields.get("denominator"), read_text, ""),
        )
        if any((kpi.id, kpi.version) == (one.id, one.version) for one in found):
            document.wrong(item, f"version {kpi.version} of {kpi.id} is there twice")
        found.append(kpi)
    return tuple(found)


def _classes(document: Document, node: Node | None, seasons: Collection[str]) -> tuple[CaseClass, ...]:
    found: dict[str, CaseClass] = {}
    for item in document.items(node):
        fields = document.fields(item, ("code", "name", "conditions"))
        code = _id(document, fields.get("code"), found)
        conditions: list[Condition] = []
        for each in document.items(fields.get("conditions")):
            parts = document.fields(each, ("id", "limit"), ("name",))
            id_ = _id(document, parts.get("id"), [one.id for one in conditions])
            name = document.name(parts["name"]) if "name" in parts else None
            conditions.append(Condition(id_, name, _limit(document, parts.get("limit"), seasons)))
        found[code] = CaseClass(code, document.name(fields.get("name")), tuple(conditions))
    return tuple(found.values())


def _beginnings(document: Document, node: Node | None, classes: Collection[CaseClass]) -> tuple[str, ...]:
    def read(text: str) -> str:
        if not any(one.code.startswith(text) for one in classes):
            raise ValueError(f"no class has a code that begins with {quote(text)}")
        return text

    return tuple(document.read_each(node, read))


def _limit(document: Document, node: Node | None, seasons: Collection[str]) -> Limit:
    def read_season(text: str) -> str:
        if text not in seasons:
            raise ValueError(unknown("season", text, seasons))
        return text

    fields = document.fields(node, ("value", "unit"), ("season",))
    value = document.read(fields.get("value"), _read_above_zero, 1)
    unit = document.read(fields.get("unit"), _read_unit, LIMIT_UNITS[0])
    season = document.read(fields["season"], read_season, "") if "season" in fields else None
    return Limit(value, unit, season)


def _id(document: Document, node: Node | None, taken: Collection[str]) -> str:
    def read(text: str) -> str:
        if text in taken:
            raise ValueError(f"{quote(text)} is there twice")
        return read_code(text)

    return document.read(node, read, "")


def _season(document: Document, item: Node) -> Season:
    fields = document.fields(item, ("id", "name", "from", "to"))
    return Season(
        document.read(fields.get("id"), read_code, ""),
        document.name(fields.get("name")),
        document.read(fields.get("from"), _read_month_day, (1, 1)),
        document.read(fields.get("to"), _read_month_day, (12, 31)),
    )


def _read_span(text: str) -> WorkSpan:
    found = _SPAN.fullmatch(text)
    begin, end = (int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])) if found else (0, 0)
    if not begin < end <= 24 * 60:
        raise ValueError(f"{quote(text)} is not a stretch of a day like 08:00-12:00")
    return WorkSpan(begin, end)


def _read_week_day(text: str) -> int:
    if text not in WEEK:
        raise ValueError(unknown("day of the week", text, WEEK))
    return WEEK.index(text)


def _read_month_day(text: str) -> tuple[int, int]:
    if not _MONTH_DAY.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a month and day like 03-15")
    day = read_date(f"2000-{text}")  # a leap year
    return day.month, day.day


def _read_above_zero(text: str) -> int:
    if (value := read_whole(text)) == 0:
        raise ValueError("has to be above zero")
    return value


def _is_unit(text: str) -> TypeGuard[LimitUnit]:
    return text in LIMIT_UNITS


def _read_unit(text: str) -> LimitUnit:
    if not _is_unit(text):
        raise ValueError(unknown("unit", text, LIMIT_UNITS))
    return text
