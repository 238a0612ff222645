"""Maps: what they may say, and where their mistakes are."""

from __future__ import annotations

from pathlib import Path

import pytest

from citybrain.replay.csv_map import find_map, parse_map
from citybrain.replay.errors import MapError, ReplayError

SHIPPED = Path(__file__).parents[3] / "deploy" / "city" / "maps"
GOOD = """\
csv: {delimiter: ";"}
time:
  columns: [day, hour]
  format: "%d.%m.%Y %H:%M"
  timezone: Europe/Berlin
  repeated: reject
event:
  type: bin.level
  source: /bins
  subject: "bin-{number}"
  id: "{number}|{$time}"
  data:
    level_percent: {column: level, as: number, times: 100}
    note: {column: note, optional: true}
"""


@pytest.mark.parametrize("name", ["parking_birmingham", "water_districts", "heat_meter", "nyc311"])
def test_shipped_maps_are_right(name: str) -> None:
    assert find_map(name, [SHIPPED]).name == name


def test_a_map_names_every_column_it_reads() -> None:
    assert parse_map("bins.yaml", GOOD).columns() == {"day", "hour", "number", "level", "note"}


MISTAKES = [
    ("timezone: Europe/Berlin", "timezone: Mars/Phobos", 5, "time.timezone", "unknown time zone 'Mars/Phobos'"),
    ("repeated: reject", "repeated: second", 6, "time.repeated", "not one of second_is_later, first, reject"),
    ("repeated: reject", "repeeted: reject", 6, "time.repeeted", "did you mean 'repeated'?"),
    ("  source: /bins\n", "", 8, "event.source", "is missing"),
    ("{$time}", "{$tine}", 11, "event.id", "unknown name $tine"),
    ("{number}|", "{$cell}|", 11, "event.id", "unknown name $cell"),
    ("as: number", "as: float", 13, "event.data.level_percent.as", "'float' is not one of"),
    ("times: 100", "times: lots", 13, "event.data.level_percent.times", "must be a number"),
    ("times: 100", "times: NaN", 13, "event.data.level_percent.times", "must be finite"),
    ("column: note", "column: $cell", 14, "event.data.note.column", "unknown name $cell"),
    ("%d.%m.%Y", "%d.%m", 4, "time.format", "names year, month and day"),
    ("%H:%M", "%H:%", 4, "time.format", "not a time format"),
    ('";"', '";;"', 1, "csv.delimiter", "one character"),
    ('delimiter: ";"', "encoding: latin-99", 1, "csv.encoding", "unknown encoding"),
    ("columns: [day, hour]", "columns: []", 3, "time.columns", "names no column"),
    ("  source: /bins", "  source: /bins\n  source: /b", 10, "event.source", "is there twice"),
    ("event:", "event: {{{", 8, "", "bins.yaml:"),
]


@pytest.mark.parametrize(("old", "new", "line", "field", "problem"), MISTAKES)
def test_a_mistake_is_named_with_file_line_and_field(old: str, new: str, line: int, field: str, problem: str) -> None:
    assert old in GOOD
    with pytest.raises(MapError) as wrong:
        parse_map("bins.yaml", GOOD.replace(old, new, 1))
    assert (wrong.value.file, wrong.value.field) == ("bins.yaml", field)
    assert line <= wrong.value.line <= line + 1
    assert problem in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("text", ["", "[]", "a: &x 1\nb: *x\n", "\tx: 1"])
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(MapError):
        parse_map("none.yaml", text)


def test_codes_stay_as_they_are_written() -> None:
    (name, value), *_ = parse_map(
        "c.yaml", GOOD.replace("level_percent: {column: level, as: number, times: 100}", "category: 0501")
    ).data
    assert (name, getattr(value, "parts", None)) == ("category", ("0501",))


def test_the_first_folder_wins_and_a_path_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "heat_meter.yaml").write_text(GOOD, "utf-8")
    assert find_map("heat_meter", [tmp_path, SHIPPED]).delimiter == ";"
    assert find_map(str(SHIPPED / "heat_meter.yaml"), [tmp_path]).delimiter == ","
    with pytest.raises(ReplayError, match=r"gone\.yaml"):
        find_map("gone.yaml", [tmp_path])
