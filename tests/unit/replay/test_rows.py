"""Rows become events: real files with their defects, and the cells that cannot be read."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from citybrain.replay.csv_map import find_map, parse_map
from citybrain.replay.records import RecordFile
from citybrain.replay.rows import Problem, Record, RowReader
from citybrain_schemas.envelope import Envelope, check_envelope
from citybrain_schemas.events import EVENT_TYPES

DATA = Path(__file__).parents[2] / "data"
MAPS = Path(__file__).parents[3] / "deploy" / "city" / "maps"
NYC_HEADER = ["Unique Key", "Created Date", "Complaint Type", "Descriptor", "Incident Address", "Longitude", "Latitude"]


def read(folder: str, file: str, name: str) -> Iterator[Record | Problem]:
    with RecordFile(DATA / folder / file, find_map(name, [MAPS])) as records:
        yield from records


@cache
def water() -> list[Record | Problem]:
    return list(read("water_districts", "inflow.csv.gz", "water_districts"))


def events(records: Iterable[Record | Problem]) -> list[dict[str, Any]]:
    return [record.event for record in records if isinstance(record, Record) and isinstance(record.event, dict)]


def test_a_row_of_the_parking_file_is_one_event_in_utc() -> None:
    first = next(read("parking_birmingham", "parking.csv.gz", "parking_birmingham"))
    assert isinstance(first, Record)
    assert (first.line, first.time) == (2, datetime(2016, 10, 4, 6, 59, 42, tzinfo=UTC))
    assert first.event == {
        "specversion": "1.0",
        "id": "BHMBCCMKT01|2016-10-04 07:59:42|61",
        "source": "/parking/birmingham",
        "type": "parking.occupancy",
        "time": "2016-10-04T06:59:42Z",
        "subject": "BHMBCCMKT01",
        "data": {"occupied": 61, "capacity": 577},
    }


def test_equal_rows_give_equal_events_and_other_rows_other_ids() -> None:
    found = events(read("parking_birmingham", "parking.csv.gz", "parking_birmingham"))
    by_id = {one["id"]: one for one in found}
    assert (len(found), len(by_id)) == (35_717, 35_717 - 216)
    assert all(by_id[one["id"]] == one for one in found)


def test_the_water_file_has_every_hour_of_the_changes_of_the_clock() -> None:
    records = water()
    found = events(records)
    assert len(found) + sum(one.code == "empty_cell" for one in records if isinstance(one, Problem)) == len(records)
    counts = Counter(one["subject"] for one in found)
    assert (counts["dma-03"], counts["dma-06"], counts["dma-10"]) == (19_574, 17_775, 18_761)
    assert len({one["id"] for one in found}) == len(found)
    autumn = [one["time"] for one in found if one["subject"] == "dma-03" and "2021-10-30T22" <= one["time"] < "2021-10-31T04"]
    assert autumn == [f"2021-10-3{'0' if hour > 21 else '1'}T{hour:02d}:00:00Z" for hour in (22, 23, 0, 1, 2, 3)]
    spring = [one["time"] for one in found if one["subject"] == "dma-03" and "2022-03-26T23" <= one["time"] < "2022-03-27T03"]
    assert spring == ["2022-03-26T23:00:00Z", "2022-03-27T00:00:00Z", "2022-03-27T01:00:00Z", "2022-03-27T02:00:00Z"]


def test_the_real_hole_of_district_seven_is_left_open() -> None:
    times = [datetime.fromisoformat(one["time"]) for one in events(water()) if one["subject"] == "dma-07"]
    longest, end = max((after - before, after) for before, after in pairwise(times))
    assert longest.total_seconds() / 3600 == 627
    assert end == datetime(2021, 8, 24, 10, tzinfo=UTC)


def test_the_heat_register_keeps_its_digits() -> None:
    first = events([next(read("heat_meter", "meter.csv.gz", "heat_meter"))])[0]
    assert (first["subject"], first["id"]) == ("heat-660", "heat-660|2018-01-02T23:00:00Z")
    assert first["data"] == {"medium": "heat", "quantity": "register", "value": Decimal("5347.61445783133"), "unit": "kWh"}


def nyc(**cells: str) -> Record | Problem:
    row = dict(zip(NYC_HEADER, ["1", "05/01/2022 12:00:03 AM", "Noise", "Loud", "1 A ST", "-73.9", "40.8"], strict=True)) | cells
    return next(RowReader(find_map("nyc311", [MAPS]), list(row), "rows.csv").read(7, list(row.values())))


def test_a_service_request_is_a_citizens_report_with_its_place() -> None:
    made = nyc()
    assert isinstance(made, Record)
    assert isinstance(made.event, dict)
    assert made.event["time"] == "2022-05-01T04:00:03Z"
    assert made.event["data"]["location"] == {"type": "Point", "coordinates": [Decimal("-73.9"), Decimal("40.8")]}
    assert "subject" not in made.event


def test_every_shipped_map_makes_events_that_a_city_knows() -> None:
    parking = next(read("parking_birmingham", "parking.csv.gz", "parking_birmingham"))
    heat = next(read("heat_meter", "meter.csv.gz", "heat_meter"))
    for event in events([parking, heat, water()[2], nyc()]):
        assert isinstance(check_envelope(event), Envelope)
        EVENT_TYPES[event["type"]].data.model_validate(event["data"])


def test_a_row_without_coordinates_is_skipped_by_name() -> None:
    assert nyc(Latitude=" ") == Problem(7, "empty_cell", "Latitude", "empty")


def test_what_cannot_be_read_says_which_cell() -> None:
    assert nyc(Latitude="north") == Problem(7, "not_a_number", "Latitude", "'north' is not a number")
    assert nyc(Latitude="NaN") == Problem(7, "not_a_number", "Latitude", "'NaN' is not a number of a usable size")
    assert nyc(Latitude="1e999999999") == Problem(7, "not_a_number", "Latitude", "'1e999999999' is not a number of a usable size")
    late = nyc(**{"Created Date": "2022-05-01"})
    assert isinstance(late, Problem)
    assert (late.code, late.field) == ("bad_time", "Created Date")


def test_a_row_with_too_few_cells_is_refused() -> None:
    reader = RowReader(find_map("nyc311", [MAPS]), NYC_HEADER, "rows.csv")
    assert list(reader.read(3, ["1", "2"])) == [Problem(3, "wrong_columns", "", "2 cells under 7 columns")]


def test_factors_optional_cells_and_other_delimiters_are_applied(tmp_path: Path) -> None:
    text = """
csv: {delimiter: ";", encoding: cp1252}
time: {columns: [day, hour], format: "%d.%m.%Y %H:%M", timezone: Europe/Berlin, repeated: reject, missing: reject}
event:
  type: bin.level
  source: /bins
  area: "{grid}"
  id: "{nr}"
  data:
    level_percent: {column: level, as: number, times: 100}
    note: {column: note, optional: true}
    whole: {column: whole, as: integer}
"""
    file = tmp_path / "bins.csv"
    rows = [
        "nr;day;hour;grid;level;note;whole",
        '1;01.02.2026;10:00;6106;0.25;"M\xfcll\nvoll";3.0',
        "2;01.02.2026;11:00;6106;0.5;;3.5",
        "3;25.10.2026;02:30;6106;0.5;;3",
        "4;29.03.2026;02:30;6106;0.5;;3",
    ]
    file.write_bytes(gzip.compress("\r\n".join(rows).encode("cp1252")))
    with RecordFile(file, parse_map("bins.yaml", text)) as records:
        first, *others = records
    assert isinstance(first, Record)
    assert isinstance(first.event, dict)
    assert first.event["area"] == "6106"
    assert first.event["time"] == "2026-02-01T09:00:00Z"
    assert first.event["data"] == {"level_percent": Decimal("25.00"), "note": "M\xfcll\nvoll", "whole": 3}
    assert [(one.line, one.code) for one in others if isinstance(one, Problem)] == [
        (4, "not_a_number"),
        (5, "repeated_time"),
        (6, "missing_time"),
    ]
