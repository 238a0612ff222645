"""What a right profile says, however its files are written; folders; versions."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from city_files import CITY_YAML, DEPARTMENTS, city_areas, encoded, geojson, parse, texts

from citybrain.city import FILES, Name, ProfileError, default_city_folder, parse_city, profile_version, read_folder


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def test_defaults_stand_for_what_city_yaml_leaves_out() -> None:
    settings = parse(city_yaml="name: {en: A, zh: B}\ntimezone: Europe/London\n").settings
    assert (settings.name, settings.zone.key) == (Name("A", "B"), "Europe/London")
    assert (settings.horizon_days, settings.retention, settings.identity_days) == (400, None, 30)
    assert (settings.watermark_delay, settings.lateness) == (timedelta(seconds=30), timedelta(hours=1))


def test_what_city_yaml_says_is_taken() -> None:
    more = "watermark_delay: 5s\nlateness: 2h\nidentity_days: 60\n"
    city = parse(city_yaml=CITY_YAML + more)
    assert city.settings.retention == timedelta(days=500)
    assert (city.settings.watermark_delay, city.settings.lateness) == (timedelta(seconds=5), timedelta(hours=2))
    assert city.settings.identity_days == 60
    assert city.level_names["grid"] == Name("Cell", "网格")
    assert city.level_names["city"] == Name("City", "市")


def test_retention_none_keeps_everything() -> None:
    assert parse(city_yaml=CITY_YAML.replace("500d", "none")).settings.retention is None


def test_scalars_are_read_as_they_are_written() -> None:
    casework = parse().casework
    assert [one.code for one in casework.codes.events] == ["0501"]
    assert casework.departments[0].events == ("05",)
    assert [(span.begin_minute, span.end_minute) for span in casework.calendar.work_hours] == [(480, 720), (840, 1080)]
    assert casework.calendar.holidays == {date(2026, 5, 1)}
    assert casework.codes.events[0].conditions[1].limit.season == "planting"
    assert casework.kpis[0].numerator == "closed"


@pytest.mark.parametrize("indent", ["\t", 1, None])
def test_yaml_files_may_be_json_with_tabs_and_a_byte_order_mark(indent: str | int | None) -> None:
    name = {"en": 'Quote " and \\ Town', "zh": "\U00020000市"}
    plain = {"name": name, "timezone": "Asia/Shanghai", "horizon_days": 400, "retention": "500d"}
    text = "\ufeff" + json.dumps(plain, indent=indent, separators=(",\t", ":\t"), ensure_ascii=True)
    assert parse(city_yaml=text).settings.name == Name('Quote " and \\ Town', "\U00020000市")


def test_areas_and_roster_may_have_a_byte_order_mark_and_windows_lines() -> None:
    files = texts()
    files = {name: "\ufeff" + files[name].replace("\n", "\r\n") for name in ("city.yaml", "areas.geojson", "assets.csv")}
    city = parse_city(encoded(files))
    assert [line.subject for line in city.roster.lines] == ["lot-1", "meter-1"]


def test_the_version_is_of_the_files_that_are_read_and_of_nothing_else() -> None:
    files = encoded(texts())
    assert parse_city(files).version == profile_version(files)
    assert profile_version({**files, "rules/a.yaml": b"x", "endpoints.yaml": b"y"}) == profile_version(files)
    for name in files:
        assert profile_version({**files, name: files[name] + b" "}) != profile_version(files)


def test_rules_and_endpoints_are_read_with_the_folder_and_left_to_others(tmp_path: Path) -> None:
    folder = write(tmp_path, {**texts(), "endpoints.yaml": "{{{", "README.txt": "hello"})
    (folder / "rules").mkdir()
    (folder / "rules" / "a.yaml").write_text("{{{")
    (folder / "rules" / "README.txt").write_text("hello")
    assert sorted(read_folder(folder)) == sorted((*FILES, "endpoints.yaml", "rules/a.yaml"))
    assert parse_city(read_folder(folder)).areas.known("610600")


def test_a_file_of_rules_with_another_ending_is_not_left_out_silently(tmp_path: Path) -> None:
    folder = write(tmp_path, {**texts(), "endpoint.yaml": ""})
    (folder / "rules").mkdir()
    (folder / "rules" / "a.yml").write_text("rules: []")
    with pytest.raises(ProfileError) as raised:
        read_folder(folder)
    assert [f"{Path(one.file).name}: {one.problem}" for one in raised.value.mistakes] == [
        "endpoint.yaml: is not read, did you mean endpoints.yaml?",
        "a.yml: is not read, did you mean a.yaml?",
    ]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="nowhere: there is no such folder"):
        read_folder(tmp_path / "nowhere")


def test_a_missing_file_is_named_with_what_may_be_meant_to_be_it(tmp_path: Path) -> None:
    folder = write(tmp_path, {"city.yml": CITY_YAML, "asset.csv": "", "areas.geojson": geojson(city_areas())})
    with pytest.raises(ProfileError) as raised:
        read_folder(folder)
    assert [f"{Path(one.file).name}: {one.problem}" for one in raised.value.mistakes] == [
        "asset.csv: is not read, did you mean assets.csv?",
        "city.yaml: is missing",
        "city.yml: is not read, did you mean city.yaml?",
    ]


def test_departments_without_codes_have_no_class_to_name() -> None:
    files = texts(departments_yaml=DEPARTMENTS.replace("[05]", "[]").replace("[0101]", "[]"))
    del files["codes.yaml"]
    assert parse_city(encoded(files)).casework.departments[0].id == "water"


def test_the_examples_of_the_how_to_page_are_right() -> None:
    page = Path(__file__).parents[3] / "docs" / "howto" / "city-profile.md"
    examples = re.findall(r"```yaml as (\w+\.yaml)\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert {name for name, _ in examples} == {"calendar.yaml", "codes.yaml", "departments.yaml", "kpis.yaml"}
    files = dict(read_folder(default_city_folder())) | {name: text.encode() for name, text in examples}
    assert parse_city(files).casework.kpis[0].id == "closing_rate"


def test_the_demonstration_city_is_right_and_tiled_by_its_grids() -> None:
    city = parse_city(read_folder(default_city_folder()))
    levels = {level: city.areas.at_level(level) for level in city.level_names}
    assert [len(found) for found in levels.values()] == [1, 2, 5, 12, 60]
    whole = levels["city"][0].shape
    for found in levels.values():
        assert sum(one.shape.area for one in found) == pytest.approx(whole.area, rel=1e-12)


def test_each_asset_of_the_demonstration_city_stands_in_the_grid_it_names() -> None:
    city = parse_city(read_folder(default_city_folder()))
    for line in city.roster.lines:
        assert line.facts.location is not None
        lon, lat = line.facts.location
        at = line.valid_from or city.areas.versions[0].validity.begin
        assert city.places.grid_at(lon, lat, at) == line.area
