"""Own the five levels of areas and which of them was valid when. Called by every role. Pure, and never changed once made.

A code keeps its level for ever; its shape, name and parent may change. Where no version of a code is valid at an instant,
the last one that had begun by then stands for it, or else the first: an old code keeps its last parent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeGuard, get_args

import shapely
from shapely.geometry import mapping

from citybrain.city.geometry import Shape
from citybrain.city.literals import Name
from citybrain.city.validity import Validity

Level = Literal["city", "district", "street", "community", "grid"]
LEVELS: tuple[Level, ...] = get_args(Level)


def is_level(text: str) -> TypeGuard[Level]:
    """Whether it is one of the five."""
    return text in LEVELS


@dataclass(frozen=True, slots=True)
class Area:
    """One version of an area; `parent` is None for the city alone, the shape is in degrees."""

    code: str
    level: Level
    name: Name
    parent: str | None
    validity: Validity
    shape: Shape


class Areas:
    """All versions of all areas. Every method but `known` raises KeyError for a code that no version has."""

    def __init__(self, versions: Iterable[Area]) -> None:
        self.versions = tuple(sorted(versions, key=lambda one: (one.code, one.validity.begin)))
        by_code: dict[str, list[Area]] = defaultdict(list)
        codes_by_parent: dict[str, set[str]] = defaultdict(set)
        for one in self.versions:
            by_code[one.code].append(one)
            if one.parent is not None:
                codes_by_parent[one.parent].add(one.code)
        self._by_code = dict(by_code)
        self._codes_by_parent = {parent: tuple(sorted(codes)) for parent, codes in codes_by_parent.items()}
        self.codes = frozenset(self._by_code)

    def known(self, code: str) -> bool:
        """Whether the code was ever valid."""
        return code in self._by_code

    def level(self, code: str) -> Level:
        """The level of the code."""
        return self._by_code[code][0].level

    def version_at(self, code: str, at: datetime) -> Area:
        """The version valid at the instant, or the nearest before it, or the first."""
        versions = self._by_code[code]
        found = versions[0]
        for one in versions[1:]:
            if one.validity.begin <= at:
                found = one
        return found

    def versions_of(self, code: str) -> tuple[Area, ...]:
        """Every version of the code, the earliest first."""
        return tuple(self._by_code[code])

    def parent_at(self, code: str, at: datetime) -> str | None:
        """The code one level above; None for the city."""
        return self.version_at(code, at).parent

    def path_at(self, code: str, at: datetime) -> tuple[str, ...]:
        """The code and all above it, the city last."""
        path = [code]
        while (parent := self.version_at(path[-1], at).parent) is not None:
            path.append(parent)
        return tuple(path)

    def children_at(self, code: str, at: datetime) -> tuple[str, ...]:
        """The codes one level below that are valid at the instant, in order."""
        if code not in self._by_code:
            raise KeyError(code)
        return tuple(
            child
            for child in self._codes_by_parent.get(code, ())
            if any(one.parent == code and one.validity.holds(at) for one in self._by_code[child])
        )

    def at_level(self, level: Level, at: datetime | None = None) -> list[Area]:
        """The versions of one level, of all times or valid at the instant, by code."""
        return [one for one in self.versions if one.level == level and (at is None or one.validity.holds(at))]

    def geojson(self, level: Level | None = None, at: datetime | None = None) -> dict[str, object]:
        """A FeatureCollection of one level or all, of all times or one instant; validity is given in UTC."""
        return {
            "type": "FeatureCollection",
            "features": [
                feature(one)
                for one in self.versions
                if (level is None or one.level == level) and (at is None or one.validity.holds(at))
            ],
        }


def feature(area: Area) -> dict[str, object]:
    """The area as a GeoJSON feature, its rings wound as RFC 7946 wants them."""
    properties: dict[str, object] = {
        "code": area.code,
        "level": area.level,
        "name": {"en": area.name.en, "zh": area.name.zh},
        "parent": area.parent,
    }
    for key, instant in (("valid_from", area.validity.valid_from), ("valid_to", area.validity.valid_to)):
        if instant is not None:
            properties[key] = instant.isoformat().replace("+00:00", "Z")
    geometry = mapping(shapely.orient_polygons(area.shape))
    return {"type": "Feature", "properties": properties, "geometry": geometry}
