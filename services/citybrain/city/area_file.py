"""Own how areas.geojson is read and checked. Called by profile.parse_city. Pure.

Features are read one by one, then compared: levels, parents and validity have to fit together at every instant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TypeVar
from zoneinfo import ZoneInfo

from citybrain.city.areas import LEVELS, Area, Areas, Level, is_level
from citybrain.city.geometry import Shape, check_crs, read_shape
from citybrain.city.json_lines import JsonText, JsonTextError, Path
from citybrain.city.literals import Name, read_midnight, read_text, read_validity
from citybrain.city.mistakes import Mistake, nearest, quote, unknown
from citybrain.city.text_file import decode, join_surrogates
from citybrain.city.validity import ALWAYS, EARLIEST, Validity

T = TypeVar("T")
FILE = "areas.geojson"
PROPERTIES = ("code", "level", "name", "parent", "valid_from", "valid_to")
MISSPELT = 0.8  # GIS files carry columns of their own; only one this like a known name is refused


@dataclass(slots=True)
class _Draft:
    """A feature as far as it could be read."""

    index: int
    code: str | None
    level: Level | None
    parent: str | None
    name: Name | None
    validity: Validity
    shape: Shape | None

    def path(self, *steps: str) -> Path:
        """Where the feature, or something in it, is."""
        return ("features", self.index, *steps)


def read_areas(
    data: bytes, read_code: Callable[[str], str], zone: ZoneInfo, mistakes: list[Mistake]
) -> tuple[Areas | None, frozenset[str] | None]:
    """The areas, None when there are mistakes; and all codes that the file names, None when it cannot be read at all."""
    text = decode(FILE, data, mistakes)
    if text is None:
        return None, None
    try:
        document = JsonText(text)
    except JsonTextError as error:
        mistakes.append(Mistake(FILE, error.line, "", str(error)))
        return None, None
    found = _Features(document, read_code, zone)
    for path, field, problem in found.problems:
        mistakes.append(Mistake(FILE, document.line_of(path), field, problem))
    repeated = [Mistake(FILE, line, key, "is there twice") for line, key in document.repeated_keys()]
    mistakes += repeated
    codes = frozenset(draft.code for draft in found.drafts if draft.code is not None)
    if found.problems or repeated:
        return None, codes if found.is_collection else None
    return Areas(_area(draft) for draft in found.drafts), codes


def _area(draft: _Draft) -> Area:
    if draft.code is None or draft.level is None or draft.name is None or draft.shape is None:
        raise AssertionError("a feature without mistakes is whole")
    return Area(draft.code, draft.level, draft.name, draft.parent, draft.validity, draft.shape)


class _Features:
    """Reads the collection; `problems` are (path, field, problem)."""

    def __init__(self, document: JsonText, read_code: Callable[[str], str], zone: ZoneInfo) -> None:
        self.problems: list[tuple[Path, str, str]] = []
        self._read_code = read_code
        self._zone = zone
        features = self._collection(document.value)
        self.is_collection = features is not None
        self.drafts = [self._draft(index, one) for index, one in enumerate(features or [])]
        if features is not None:
            _check_together(self.drafts, self._wrong)

    def _wrong(self, path: Path, field: str, problem: str) -> None:
        self.problems.append((path, field, problem))

    def _collection(self, value: object) -> list[object] | None:
        if not isinstance(value, dict) or value.get("type") != "FeatureCollection":
            self._wrong((), "type", "the file has to be a GeoJSON FeatureCollection")
            return None
        if "crs" in value:
            self._read(("crs",), "crs", value["crs"], check_crs)
        features = value.get("features")
        if not isinstance(features, list):
            self._wrong(("features",), "features", "has to be a list of features")
            return None
        return features

    def _draft(self, index: int, value: object) -> _Draft:
        path: Path = ("features", index)
        properties = value.get("properties") if isinstance(value, dict) else None
        if not isinstance(value, dict) or value.get("type") != "Feature" or not isinstance(properties, dict):
            self._wrong(path, "type", "has to be a Feature with properties")
            return _Draft(index, None, None, None, None, ALWAYS, None)
        for key in properties:
            meant = None if key in PROPERTIES else nearest(key, PROPERTIES, MISSPELT)
            if meant is not None and meant not in properties:
                self._wrong((*path, "properties", key), key, f"unknown property {quote(key)}, did you mean {meant!r}?")
        at: Path = (*path, "properties")
        return _Draft(
            index,
            self._text(at, properties, "code", self._read_code),
            self._text(at, properties, "level", _read_level),
            None if properties.get("parent") is None else self._text(at, properties, "parent", self._read_code),
            self._name((*at, "name"), properties.get("name")),
            self._validity(at, properties),
            self._read((*path, "geometry"), "geometry", value.get("geometry"), read_shape),
        )

    def _read(self, path: Path, field: str, value: object, parse: Callable[[object], T]) -> T | None:
        try:
            return parse(value)
        except ValueError as error:
            self._wrong(path, field, str(error))
            return None

    def _text(self, above: Path, holder: dict[str, object], key: str, parse: Callable[[str], T]) -> T | None:
        def from_text(value: object) -> T:
            if isinstance(value, str):
                return parse(join_surrogates(value))
            raise ValueError("has to be text in quotation marks" if key in holder else "is missing")

        return self._read((*above, key), ".".join(str(step) for step in (*above[3:], key)), holder.get(key), from_text)

    def _name(self, path: Path, value: object) -> Name | None:
        if not isinstance(value, dict):
            self._wrong(path, "name", 'has to be {"en": …, "zh": …}')
            return None
        en, zh = self._text(path, value, "en", read_text), self._text(path, value, "zh", read_text)
        return None if en is None or zh is None else Name(en, zh)

    def _validity(self, above: Path, properties: dict[str, object]) -> Validity:
        def read(key: str) -> datetime | None:
            if properties.get(key) is None:
                return None
            return self._text(above, properties, key, lambda text: read_midnight(text, self._zone))

        begin, end = read("valid_from"), read("valid_to")
        return self._read((*above, "valid_to"), "valid_to", None, lambda _: read_validity(begin, end)) or ALWAYS


def _read_level(text: str) -> Level:
    if not is_level(text):
        raise ValueError(unknown("level", text, LEVELS))
    return text


_Wrong = Callable[[Path, str, str], None]


def _check_together(drafts: list[_Draft], wrong: _Wrong) -> None:
    by_code: dict[str, list[_Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.code is not None:
            by_code[draft.code].append(draft)
    for versions in by_code.values():
        _check_versions(versions, wrong)
    for draft in drafts:
        if draft.level is not None:
            _check_parent(draft, by_code, wrong)
    if all(draft.level is not None for draft in drafts):
        _check_city([draft for draft in drafts if draft.level == "city"], wrong)


def _check_versions(versions: list[_Draft], wrong: _Wrong) -> None:
    """Versions of one code are of one level and follow one another."""
    first = versions[0]
    ordered = sorted(versions, key=lambda one: one.validity.begin)
    for one in versions[1:]:
        if one.level is not None and first.level is not None and one.level != first.level:
            problem = f"{one.code} is a {first.level} elsewhere in the file: a code keeps its level"
            wrong(one.path("properties", "level"), "level", problem)
    for before, after in pairwise(ordered):
        if before.validity.overlaps(after.validity):
            later = max(before, after, key=lambda one: one.index)
            wrong(later.path("properties", "code"), "code", f"{later.code} is in the file twice for the same time")


def _check_parent(draft: _Draft, by_code: dict[str, list[_Draft]], wrong: _Wrong) -> None:
    """The parent is of the next coarser level and there for as long as the child."""
    path = draft.path("properties", "parent")
    if draft.level is None or draft.level == "city":
        if draft.parent is not None:
            wrong(path, "parent", "the city has no parent")
        return
    expected = LEVELS[LEVELS.index(draft.level) - 1]
    if draft.parent is None:
        wrong(path, "parent", f"is missing: a {draft.level} lies in a {expected}")
        return
    above = by_code.get(draft.parent)
    if above is None:
        wrong(path, "parent", f"no area has the code {draft.parent!r}")
    elif above[0].level is not None and above[0].level != expected:
        wrong(path, "parent", f"{draft.parent} is a {above[0].level}, a {draft.level} lies in a {expected}")
    else:
        missing = draft.validity.uncovered_by(one.validity for one in above)
        if missing is not None:
            wrong(path, "parent", f"{draft.parent} is not valid {_since(missing)}, but {draft.code} is")


def _check_city(cities: list[_Draft], wrong: _Wrong) -> None:
    """There is exactly one city at every instant."""
    if not cities:
        wrong(("features",), "level", "no feature is the city")
        return
    ordered = sorted(cities, key=lambda one: one.validity.begin)
    for before, after in pairwise(ordered):
        if before.code != after.code and before.validity.overlaps(after.validity):
            later = max(before, after, key=lambda one: one.index)
            wrong(later.path("properties", "level"), "level", f"{before.code} and {after.code} are the city at the same time")
    missing = ALWAYS.uncovered_by(one.validity for one in cities)
    if missing is not None:
        blamed = next((one for one in ordered if one.validity.end == missing), ordered[0])
        field = "valid_from" if missing == EARLIEST else "valid_to"
        wrong(blamed.path("properties", field), field, f"there is no city {_since(missing)}")


def _since(missing: datetime) -> str:
    return "from the beginning" if missing == EARLIEST else f"from {missing.isoformat()}"
