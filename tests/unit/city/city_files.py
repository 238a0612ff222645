"""Build small city profiles for the tests of this folder: one street with two communities of two square grids each."""

from __future__ import annotations

import json
from typing import Any

from citybrain.city import City, Mistake, ProfileError, parse_city

CITY_YAML = """\
name: {en: Testborough, zh: 试验市}
timezone: Asia/Shanghai
horizon_days: 400
retention: 500d
code_pattern: '[0-9]{6,15}'
levels:
  grid: {en: Cell, zh: 网格}
"""
ASSETS = """\
subject,type,area,metrics,lon,lat,every,name_en,name_zh,capacity,valid_from,valid_to
lot-1,parking.occupancy,610602001001001,,0.5,0.5,30m,Lot 1,停车场,9,,
meter-1,utility.reading,610602001002001,water.flow water.pressure,,,15m,,,,2026-01-01,
"""
CALENDAR = """\
work_hours: [08:00-12:00, 14:00-18:00]
work_days: [mon, tue]
holidays: [2026-05-01]
make_up_workdays: [2026-05-09]
seasons:
- {id: planting, name: {en: Planting, zh: 种植}, from: 03-01, to: 05-31}
"""
CODES = """\
events:
- code: 0501
  name: {en: Burst, zh: 破裂}
  conditions:
  - {id: fence, limit: {value: 3, unit: urgent_hour}}
  - {id: plant, limit: {value: 15, unit: work_day, season: planting}}
components:
- {code: 0101, name: {en: Cover, zh: 井盖}, conditions: []}
"""
DEPARTMENTS = """\
departments:
- {id: water, name: {en: Water, zh: 自来水}, events: [05], components: [0101], areas: [610602]}
"""
KPIS = """\
kpis:
- {id: closing_rate, version: 1, name: {en: Closing rate, zh: 结案率}, numerator: closed, denominator: due}
"""
OTHERS = {"calendar.yaml": CALENDAR, "codes.yaml": CODES, "departments.yaml": DEPARTMENTS, "kpis.yaml": KPIS}


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def area(code: str, level: str, parent: str | None, geometry: dict[str, Any], **more: str) -> dict[str, Any]:
    properties = {"code": code, "level": level, "name": {"en": f"Area {code}", "zh": "区域"}, "parent": parent, **more}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def city_areas() -> list[dict[str, Any]]:
    """Grids are unit squares from west to east at longitudes 0 to 4."""
    whole = square(0, 0, 4, 1)
    found = [area("610600", "city", None, whole), area("610602", "district", "610600", whole)]
    found.append(area("610602001", "street", "610602", whole))
    for community in range(2):
        code = f"61060200100{community + 1}"
        found.append(area(code, "community", "610602001", square(community * 2, 0, community * 2 + 2, 1)))
        for grid in range(2):
            west = community * 2 + grid
            found.append(area(f"{code}00{grid + 1}", "grid", code, square(west, 0, west + 1, 1)))
    return found


def geojson(features: list[dict[str, Any]], **members: object) -> str:
    """One value a line, so that every line is of one value."""
    return json.dumps({"type": "FeatureCollection", **members, "features": features}, indent=1, ensure_ascii=False)


def texts(features: list[dict[str, Any]] | None = None, **changed: str) -> dict[str, str]:
    """All files of a right profile; `changed` replaces files, named with an underscore for the dot."""
    found = {"city.yaml": CITY_YAML, "areas.geojson": geojson(features or city_areas()), "assets.csv": ASSETS, **OTHERS}
    return found | {name.replace("_", "."): text for name, text in changed.items()}


def encoded(files: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files.items()}


def parse(features: list[dict[str, Any]] | None = None, **changed: str) -> City:
    return parse_city(encoded(texts(features, **changed)))


def mistakes_of(
    files: dict[str, str] | dict[str, bytes], event_types: set[str] | None = None, metrics: dict[str, str] | None = None
) -> list[Mistake]:
    """What `parse_city` has to complain of; nothing when the profile is right."""
    whole = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
    try:
        parse_city(whole, event_types=event_types, metrics=metrics)
    except ProfileError as error:
        return list(error.mistakes)
    return []


def line_of(text: str, part: str) -> int:
    """The number of the first line that holds the part."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)
