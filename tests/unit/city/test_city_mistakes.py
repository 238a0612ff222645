"""Every mistake that a profile can hold is told with its file, its line and its field."""

from __future__ import annotations

import pytest
from city_files import (
    CITY_YAML,
    area,
    city_areas,
    encoded,
    geojson,
    line_of,
    mistakes_of,
    parse,
    square,
    texts,
)

from citybrain.city import ProfileError, parse_city

# File, what is replaced, by what, what stands on the line to name, field, problem.
CASES = [
    ("city.yaml", "Asia/Shanghai", "Mars/Phobos", "Mars", "timezone", "unknown time zone 'Mars/Phobos'"),
    ("city.yaml", "Asia/Shanghai", "Asia/Shangai", "Shangai", "timezone",
     "unknown time zone 'Asia/Shangai', did you mean 'Asia/Shanghai'?"),
    ("city.yaml", "Asia/Shanghai", "../../etc/passwd", "etc", "timezone", "unknown time zone '../../etc/passwd'"),
    ("city.yaml", "timezone:", "timezon:", "timezon", "timezon", "unknown key 'timezon', did you mean 'timezone'?"),
    ("city.yaml", "timezone: Asia/Shanghai\n", "", "name", "timezone", "is missing"),
    ("city.yaml", "timezone: Asia/Shanghai", "timezone:", "timezone", "timezone", "is empty"),
    ("city.yaml", "timezone: Asia/Shanghai", "timezone: [a]", "timezone", "timezone", "has to be a single value"),
    ("city.yaml", ", zh: 试验市", "", "name", "name.zh", "is missing"),
    ("city.yaml", "Testborough", '""', "name", "name.en", "is empty"),
    ("city.yaml", "400", "ninety", "ninety", "horizon_days", "'ninety' is not a whole number"),
    ("city.yaml", "400", "0", "horizon", "horizon_days", "0 days are not between 1 and 36500"),
    ("city.yaml", "500d", "399d", "399d", "retention",
     "is shorter than horizon_days (400): a late repeat would be counted twice"),
    ("city.yaml", "500d", "for ever", "for ever", "retention", "'for ever' is not a duration like 30s, 15m, 1h or 90d"),
    ("city.yaml", "[0-9]{6,15}", "[0-9", "[0-9", "code_pattern",
     "'[0-9' is not a regular expression: unterminated character set at position 0"),
    ("city.yaml", "  grid:", "  gird:", "gird", "levels.gird", "unknown key 'gird', did you mean 'grid'?"),
    ("city.yaml", "horizon_days: 400", "identity_days: 0", "identity", "identity_days", "0 days are not between 1 and 36500"),
    ("city.yaml", "horizon_days: 400", "timezone: UTC", "UTC", "timezone", "is there twice"),
    ("city.yaml", "horizon_days: 400", "lateness: 1", "lateness", "lateness", "'1' is not a duration like 30s, 15m, 1h or 90d"),
    ("city.yaml", "horizon_days: 400", "lateness: &a 1h\nwatermark_delay: *a", "*a", "", "aliases are not read (*a)"),
    ("city.yaml", "horizon_days: 400", "lateness: !!python/name:os 1h", "!!python", "",
     "tags are not read (tag:yaml.org,2002:python/name:os)"),
    ("city.yaml", "horizon_days: 400", 'lateness: "\\ud83d"', "lateness", "lateness",
     "holds half a character (a lone surrogate)"),
    ("city.yaml", "horizon_days: 400", "lateness: 999999999d", "lateness", "lateness", "'999999999d' is longer than 36500 days"),
    ("city.yaml", "Testborough", "T" * 300, "name", "name.en", "is longer than 256 characters"),
    ("city.yaml", "{en: Testborough, zh: 试验市}", "Testborough", "name", "name", "has to be a mapping of keys and values"),
    ("city.yaml", "horizon_days: 400", "[a, b]: 1", "[a, b]", "", "a key has to be a single word"),
    ("areas.geojson", '"features": [', '"features": 1, "more": [', '"features"', "features", "has to be a list of features"),
    ("areas.geojson", '"FeatureCollection"', '"Collection"', "{", "type", "the file has to be a GeoJSON FeatureCollection"),
    ("areas.geojson", '"street"', '"stret"', '"stret"', "level", "unknown level 'stret', did you mean 'street'?"),
    ("areas.geojson", '"code": "610602001002002"', '"code": "61-2"', '"61-2"', "code",
     "'61-2' does not match the code_pattern '[0-9]{6,15}' of city.yaml"),
    ("areas.geojson", '"code": "610602001002002"', '"code": 610602001002002', '"code": 610602001002002', "code",
     "has to be text in quotation marks"),
    ("areas.geojson", '"code": "610602001002002",', "", '"properties": {', "code", "is missing"),
    ("areas.geojson", '"code": "610602001002002"', '"code": "610602001002001"', '"code": "610602001002001"', "code",
     "610602001002001 is in the file twice for the same time"),
    ("areas.geojson", '"en": "Area 610602"', '"en": ""', '"en": ""', "name.en", "is empty"),
    ("areas.geojson", '"parent": "610602001001"', '"parent": "999999"', "999999", "parent", "no area has the code '999999'"),
    ("areas.geojson", '"parent": "610602001001"', '"parent": "610602001"', '"parent": "610602001"', "parent",
     "610602001 is a street, a grid lies in a community"),
    ("areas.geojson", '"parent": "610602001001"', '"parent": null', '"parent": null', "parent",
     "is missing: a grid lies in a community"),
    ("areas.geojson", '"parent": null', '"parent": "610602"', '"parent": "610602"', "parent", "the city has no parent"),
    ("areas.geojson", '"level": "street"', '"level": "street", "code": "610602001"', '"level": "street"', "code",
     "is there twice"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_names_file_line_and_field(case: tuple[str, ...]) -> None:
    file, old, new, named, field, problem = case
    files = texts()
    assert old in files[file]
    files[file] = files[file].replace(old, new, 1)
    del files["assets.csv"], files["departments.yaml"]
    found = mistakes_of(files)
    assert [(one.file, one.field, one.problem) for one in found] == [(file, field, problem)]
    assert named in files[file].splitlines()[found[0].line - 1]
    where = ":".join([file, str(found[0].line), *([str(found[0].column)] if file.endswith(".yaml") else [])])
    assert str(found[0]) == ": ".join(part for part in (where, field, problem) if part)


ROSTER_CASES = [
    ("subject,type", "subject,typ", "typ", "unknown column 'typ', did you mean 'type'?", 1),
    ("lon,lat", "lon,lon", "lon", "is there twice", 1),
    ("610602001001001", "999999999999999", "area", "no area has the code '999999999999999'", 2),
    (",30m,", ",whenever,", "every", "'whenever' is not a duration like 30s, 15m, 1h or 90d", 2),
    (",30m,", ",0m,", "every", "'0m' has to be longer than zero", 2),
    (",0.5,0.5,", ",x,0.5,", "lon", "'x' is not a number", 2),
    (",0.5,0.5,", ",0.5,91,", "lat", "'91' is not between -90 and 90 degrees", 2),
    (",0.5,0.5,", ",nan,0.5,", "lon", "'nan' is not between -180 and 180 degrees", 2),
    (",0.5,0.5,", ",0.5,,", "lat", "is missing: a place needs both lon and lat", 2),
    (",9,,", ",nine,,", "capacity", "'nine' is not a whole number", 2),
    (",9,,", ",-9,,", "capacity", "'-9' is below zero", 2),
    ("2026-01-01", "2026-02-30", "valid_from", "'2026-02-30' is a date that no calendar has", 3),
    ("2026-01-01", "01/01/2026", "valid_from", "'01/01/2026' is not a date like 2026-11-23", 3),
    ("2026-01-01,", "2026-01-01,2026-01-01", "valid_to", "has to be later than valid_from", 3),
    ("meter-1", "", "subject", "is missing", 3),
    ("meter-1", '"meter\n1"', "subject", "'meter\\n1' holds a character that cannot be printed", 3),
    (",15m", ",15m,", "", "has 13 cells, the header has 12", 3),
    ("parking.occupancy", "parking.ocupancy", "type",
     "unknown event type 'parking.ocupancy', did you mean 'parking.occupancy'?", 2),
    ("water.flow", "water.flwo", "metrics", "unknown metric 'water.flwo', did you mean 'water.flow'?", 3),
    ("water.flow", "parking.occupied", "metrics", "parking.occupied is fed by parking.occupancy, not by utility.reading", 3),
    ("water.flow water.pressure", "water.flow water.flow", "metrics", "'water.flow' is there twice", 3),
    ("meter-1,", "lot-1,", "area", "'lot-1' is in 610602001001001 at the same time (line 2)", 3),
    ("meter-1,utility.reading,610602001002001,water.flow water.pressure", "lot-1,parking.occupancy,610602001001001,", "subject",
     "'lot-1' sends parking.occupancy at the same time (line 2)", 3),
    ("meter-1", '"meter-1', "", "is not CSV: unexpected end of data", 3),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "field", "problem", "line"), ROSTER_CASES)
def test_a_mistake_in_the_roster_names_line_and_column(old: str, new: str, field: str, problem: str, line: int) -> None:
    files = texts()
    assert old in files["assets.csv"]
    files["assets.csv"] = files["assets.csv"].replace(old, new, 1)
    metrics = {"water.flow": "utility.reading", "water.pressure": "utility.reading", "parking.occupied": "parking.occupancy"}
    found = mistakes_of(files, event_types={"parking.occupancy", "utility.reading"}, metrics=metrics)
    assert [(one.line, one.field, one.problem) for one in found] == [(line, field, problem)]


CASEWORK_CASES = [
    ("calendar.yaml", "08:00-12:00", "12:00-08:00", "work_hours[0]", "'12:00-08:00' is not a stretch of a day like 08:00-12:00"),
    ("calendar.yaml", "14:00-18:00", "11:00-18:00", "work_hours", "a stretch begins before the one above it ends"),
    ("calendar.yaml", "tue", "teu", "work_days[1]", "unknown day of the week 'teu', did you mean 'tue'?"),
    ("calendar.yaml", "[mon, tue]", "[no]", "work_days[0]", "unknown day of the week 'no'"),
    ("calendar.yaml", "[mon, tue]", "[mon, mon]", "work_days[1]", "is in the list already"),
    ("calendar.yaml", "2026-05-09", "2026-05-01", "make_up_workdays", "2026-05-01 is a holiday too"),
    ("calendar.yaml", "03-01", "02-30", "seasons[0].from", "'2000-02-30' is a date that no calendar has"),
    ("calendar.yaml", "holidays", "holiday", "holiday", "unknown key 'holiday', did you mean 'holidays'?"),
    ("codes.yaml", "urgent_hour", "urgnt_hour", "events[0].conditions[0].limit.unit",
     "unknown unit 'urgnt_hour', did you mean 'urgent_hour'?"),
    ("codes.yaml", "value: 3", "value: 0", "events[0].conditions[0].limit.value", "has to be above zero"),
    ("codes.yaml", "season: planting", "season: plantin", "events[0].conditions[1].limit.season",
     "unknown season 'plantin', did you mean 'planting'?"),
    ("codes.yaml", "id: plant", "id: fence", "events[0].conditions[1].id", "'fence' is there twice"),
    ("codes.yaml", ", conditions: []", "", "components[0].conditions", "is missing"),
    ("codes.yaml", "conditions: []", "conditions: none", "components[0].conditions", "has to be a list"),
    ("departments.yaml", "[05]", "[06]", "departments[0].events[0]", "no class has a code that begins with '06'"),
    ("departments.yaml", "[610602]", "[610699]", "departments[0].areas[0]", "no area has the code '610699'"),
    ("kpis.yaml", "version: 1", "version: one", "kpis[0].version", "'one' is not a whole number"),
    ("kpis.yaml", "kpis:", "kpi:", "kpi", "unknown key 'kpi', did you mean 'kpis'?"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "field", "problem"), CASEWORK_CASES)
def test_a_mistake_about_casework_names_file_line_and_field(file: str, old: str, new: str, field: str, problem: str) -> None:
    files = texts()
    assert old in files[file]
    line = line_of(files[file], old)
    files[file] = files[file].replace(old, new, 1)
    found = [one for one in mistakes_of(files) if (one.file, one.line) == (file, line)]
    assert ("".join(one.field for one in found[:1]), found[0].problem) == (field, problem)


GEOMETRY_CASES = [
    (square(0, 0, 1, 1) | {"type": "Point"}, "is a 'Point', has to be a Polygon or a MultiPolygon"),
    (None, "is a 'thing', has to be a Polygon or a MultiPolygon"),
    ({"type": "Polygon", "coordinates": []}, "a Polygon has to hold coordinates"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]},
     "a ring needs four positions or more, the last one equal to the first"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]},
     "a ring is not closed: it begins at (0.0, 0.0) and ends at (0.0, 1.0)"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
     "is no valid shape: Self-intersection[0.5 0.5]"),
    (square(0, 0, 500_000, 4_000_000), "[500000, 0] is not [longitude, latitude] in degrees"),
    ({"type": "Polygon", "coordinates": [[[0, "0"], [1, 0], [1, 1], [0, 0]]]}, "a position has to be two numbers"),
    ({"type": "Polygon", "coordinates": [[[0], [1, 0], [1, 1], [0, 0]]]}, "a position has to be [longitude, latitude]"),
    ({"type": "Polygon", "coordinates": [[[0, float("nan")], [1, 0], [1, 1], [0, 0]]]}, "a position has to be two numbers"),
    ({"type": "Polygon", "coordinates": [[[0, 1e999], [1, 0], [1, 1], [0, 0]]]},
     "[0, inf] is not [longitude, latitude] in degrees"),
]  # fmt: skip


@pytest.mark.parametrize(("geometry", "problem"), GEOMETRY_CASES)
def test_a_wrong_shape_names_the_line_of_its_geometry(geometry: dict[str, object] | None, problem: str) -> None:
    areas = city_areas()
    areas[-1]["geometry"] = geometry
    text = geojson(areas)
    (found,) = mistakes_of(texts(areas_geojson=text))
    last = max(number for number, line in enumerate(text.splitlines(), 1) if '"geometry"' in line)
    assert (found.line, found.field, found.problem) == (last, "geometry", problem)


def test_validity_has_to_fit_together() -> None:
    whole = square(0, 0, 4, 1)
    top = [area("610600", "city", None, whole), area("610602", "district", "610600", whole, valid_from="2020-01-01")]
    (uncovered,) = mistakes_of(texts([*top, area("610602001", "street", "610602", whole)], assets_csv="subject,type,area"))
    assert uncovered.problem == "610602 is not valid from the beginning, but 610602001 is"
    moved = [*top, area("610602", "district", "610600", whole, valid_to="2020-01-02")]
    (twice,) = mistakes_of({"city.yaml": CITY_YAML, "areas.geojson": geojson(moved)})
    assert twice.problem == "610602 is in the file twice for the same time"
    late = [area("610600", "city", None, whole, valid_from="2020-01-01")]
    (missing,) = mistakes_of({"city.yaml": CITY_YAML, "areas.geojson": geojson(late)})
    assert (missing.field, missing.problem) == ("valid_from", "there is no city from the beginning")
    ends = [
        area("610600", "city", None, whole, valid_to="2020-01-01"),
        area("610700", "city", None, whole, valid_from="2021-01-01"),
    ]
    (gap,) = mistakes_of({"city.yaml": CITY_YAML, "areas.geojson": geojson(ends)})
    assert (gap.field, gap.problem) == ("valid_to", "there is no city from 2019-12-31T16:00:00+00:00")
    two = [area("610600", "city", None, whole), area("610700", "city", None, whole)]
    (both,) = mistakes_of({"city.yaml": CITY_YAML, "areas.geojson": geojson(two)})
    assert both.problem == "610600 and 610700 are the city at the same time"
    none = [area("610602", "district", "610600", whole)]
    assert "no feature is the city" in [
        one.problem for one in mistakes_of({"city.yaml": CITY_YAML, "areas.geojson": geojson(none)})
    ]


def test_what_is_no_feature_and_what_has_no_name_is_told() -> None:
    text = geojson([*city_areas(), {"type": "Feature", "properties": None}])
    (found,) = mistakes_of(texts(areas_geojson=text))
    assert (found.line, found.problem) == (len(text.splitlines()) - 5, "has to be a Feature with properties")
    areas = city_areas()
    areas[0]["properties"]["name"] = "Testborough"
    (found,) = mistakes_of(texts(areas))
    assert (found.line, found.field) == (line_of(geojson(areas), '"name": "Testborough"'), "name")


def test_a_code_without_a_pattern_is_of_letters_digits_and_few_signs() -> None:
    files = texts(areas_geojson=geojson([area("a city", "city", None, square(0, 0, 1, 1))]))
    files = {
        "city.yaml": files["city.yaml"].replace("code_pattern: '[0-9]{6,15}'\n", ""),
        "areas.geojson": files["areas.geojson"],
    }
    (found,) = mistakes_of(files)
    assert found.problem == "'a city' is not a code of 1 to 32 letters, digits, '.', '_' or '-'"


def test_a_code_keeps_its_level() -> None:
    other = area("610602001", "community", "610602001", square(0, 0, 1, 1), valid_from="2030-01-01")
    assert "610602001 is a street elsewhere in the file: a code keeps its level" in [
        one.problem for one in mistakes_of(texts([*city_areas(), other]))
    ]


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("city.yaml", "name: {en: A, zh: B}\ntimezone: [UTC\n", 3),
        ("city.yaml", 'name: {en: A, zh: B}\ntimezone: "UTC\n', 2),
        ("city.yaml", "name: {en: A, zh: B}\n\ttimezone: UTC\n", 2),
        ("city.yaml", "name: 1\nname\x00: 2", 2),
        ("city.yaml", "a: 1\n---\nb: 1\n", 2),
        ("city.yaml", "[" * 5_000, 1),
        ("city.yaml", "", 1),
        ("areas.geojson", '{"type":\n"FeatureCollection",\n}', 3),
        ("areas.geojson", "[" * 100_000, 1),
        ("areas.geojson", "9" * 5_000, 1),
        ("areas.geojson", "[]", 1),
        ("assets.csv", "", 1),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(file: str, text: str, line: int) -> None:
    files = texts()
    files[file] = text
    assert (file, line) in [(one.file, one.line) for one in mistakes_of(files)]


def test_text_that_is_not_utf8_is_told_with_its_line() -> None:
    files = encoded(texts())
    files["assets.csv"] += "lot-2,停车".encode("gbk")
    (found,) = mistakes_of(files)
    assert str(found) == "assets.csv:4: is not UTF-8 (byte 0xb3)"
    for name in ("city.yaml", "areas.geojson"):
        assert f"{name}:1: is not UTF-8 (byte 0xff)" in [str(one) for one in mistakes_of({**encoded(texts()), name: b"\xff"})]


def test_all_mistakes_are_collected_and_the_error_is_one_line() -> None:
    files = texts()
    files["city.yaml"] = files["city.yaml"].replace("Asia/Shanghai", "Mars/Phobos").replace("500d", "1d")
    files["assets.csv"] = files["assets.csv"].replace("30m", "soon").replace("15m", "later")
    with pytest.raises(ProfileError) as raised:
        parse_city(encoded(files))
    assert [(one.file, one.line) for one in raised.value.mistakes] == [
        ("assets.csv", 2), ("assets.csv", 3), ("city.yaml", 2), ("city.yaml", 4),
    ]  # fmt: skip
    assert str(raised.value).endswith("(and 3 more)")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_required_and_not_there_is_missing() -> None:
    (found,) = mistakes_of({"city.yaml": CITY_YAML})
    assert str(found) == "areas.geojson: is missing"


def test_a_property_like_a_known_one_is_refused_and_others_are_left_to_the_gis() -> None:
    areas = city_areas()
    areas[-1]["properties"] |= {"OBJECTID": 7, "SHAPE_Area": 1.5}
    assert parse(areas).areas.known("610602001002002")
    areas[-1]["properties"]["valid_form"] = "2026-01-01"
    (found,) = mistakes_of(texts(areas))
    assert found.problem == "unknown property 'valid_form', did you mean 'valid_from'?"


def test_coordinates_are_wgs84_or_cgcs2000() -> None:
    for name in (
        "urn:ogc:def:crs:OGC:1.3:CRS84",
        "EPSG:4490",
        "urn:ogc:def:crs:EPSG::4490",
        "urn:ogc:def:crs:EPSG::4326",
        "CGCS2000",
    ):
        crs = {"type": "name", "properties": {"name": name}}
        assert mistakes_of(texts(areas_geojson=geojson(city_areas(), crs=crs))) == []
    others: tuple[object, ...] = ({"type": "name", "properties": {"name": "EPSG:4547"}}, None, "EPSG:4490")
    for other in others:
        (found,) = mistakes_of(texts(areas_geojson=geojson(city_areas(), crs=other)))
        assert (found.line, found.field) == (3, "crs")
