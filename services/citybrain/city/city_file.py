"""Own how city.yaml is read and checked. Called by profile.parse_city. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from citybrain.city.areas import LEVELS, Level
from citybrain.city.literals import Name, read_code, read_days, read_duration, read_period, read_zone
from citybrain.city.mistakes import quote
from citybrain.city.yaml_document import Document, Node

DEFAULT_LEVEL_NAMES: Mapping[Level, Name] = {
    "city": Name("City", "市"),
    "district": Name("District", "区县"),
    "street": Name("Street", "街道"),
    "community": Name("Community", "社区"),
    "grid": Name("Unit grid", "单元网格"),
}


@dataclass(frozen=True, slots=True)
class CitySettings:
    """What city.yaml says about time and keeping.

    `horizon_days`: older events are refused. `retention`: how long raw events are kept, None for ever, never less than the
    horizon. `identity_days`: how long identities are kept. `watermark_delay`: how long a partition waits for stragglers.
    `lateness`: how late an event may still change an alert.
    """

    name: Name
    zone: ZoneInfo
    horizon_days: int = 400
    retention: timedelta | None = None
    identity_days: int = 30
    watermark_delay: timedelta = timedelta(seconds=30)
    lateness: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class CityFile:
    """All of city.yaml; `read_area_code` applies its `code_pattern`."""

    settings: CitySettings
    level_names: Mapping[Level, Name]
    read_area_code: Callable[[str], str]


def read_city_file(document: Document) -> CityFile:
    """city.yaml, with defaults in the place of what is left out."""
    optional = ("horizon_days", "retention", "identity_days", "watermark_delay", "lateness", "code_pattern", "levels")
    fields = document.fields(document.root, ("name", "timezone"), optional)
    settings = CitySettings(
        document.name(fields.get("name")),
        document.read(fields.get("timezone"), read_zone, ZoneInfo("UTC")),
        document.read(fields.get("horizon_days"), read_days, 400),
        document.read(fields.get("retention"), _read_retention, None),
        document.read(fields.get("identity_days"), read_days, 30),
        document.read(fields.get("watermark_delay"), read_duration, timedelta(seconds=30)),
        document.read(fields.get("lateness"), read_duration, timedelta(hours=1)),
    )
    if settings.retention is not None and settings.retention < timedelta(days=settings.horizon_days):
        problem = f"is shorter than horizon_days ({settings.horizon_days}): a late repeat would be counted twice"
        document.wrong(fields["retention"], problem)
    return CityFile(settings, _level_names(document, fields.get("levels")), _area_code(document, fields.get("code_pattern")))


def _read_retention(text: str) -> timedelta | None:
    return None if text == "none" else read_period(text)


def _level_names(document: Document, node: Node | None) -> Mapping[Level, Name]:
    fields = document.fields(node, (), LEVELS)
    return {level: document.name(fields[level]) if level in fields else DEFAULT_LEVEL_NAMES[level] for level in LEVELS}


def _area_code(document: Document, node: Node | None) -> Callable[[str], str]:
    pattern = document.read(node, _read_pattern, None)
    if pattern is None:
        return read_code

    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{quote(text)} does not match the code_pattern {pattern.pattern!r} of city.yaml")
        return read_code(text)

    return read


def _read_pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"{quote(text)} is not a regular expression: {error}") from None
