"""Meters played by `citybrain replay`: local hours that come twice or never, real silence, and a register's differences."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from places import CITY, GRIDS, stamp, write_profile

from city import City

DATA = Path(__file__).parents[1] / "data"
ROME = ZoneInfo("Europe/Rome")
HOUR, MILLIONTH = timedelta(hours=1), Decimal("0.000001")
BEGINNING = datetime(2021, 1, 1, tzinfo=ROME)
SPAN = ("2020-12-31T23:00:00Z", "2023-03-31T22:00:00Z")
LITRES_A_SECOND = Decimal("3.6")  # cubic metres an hour
DISTRICTS = (1, 6, 7, 9)  # the cells of the others are left empty, which takes less time
GIGAJOULES = Decimal("0.0036")  # a kWh


def _subject(number: int) -> str:
    return f"dma-{number:02d}"


def _lines() -> list[list[str]]:
    with gzip.open(DATA / "water_districts" / "inflow.csv.gz", "rt", encoding="utf-8-sig") as file:
        head, *lines = csv.reader(file)
    return [head, *([line[0], *(cell if n in DISTRICTS else "" for n, cell in enumerate(line[1:], 1))] for line in lines)]


def _readings() -> dict[int, dict[datetime, Decimal]]:
    """Cubic metres an hour by district and instant. The file has a line for every hour, so a line's number is its instant."""
    found: dict[int, dict[datetime, Decimal]] = {number: {} for number in DISTRICTS}
    for line_number, line in enumerate(_lines()[1:]):
        moment = BEGINNING.astimezone(UTC) + line_number * HOUR
        assert line[0] == moment.astimezone(ROME).strftime("%d/%m/%Y %H:%M")
        for number in DISTRICTS:
            if line[number]:
                value = Decimal(line[number]) * LITRES_A_SECOND
                found[number][moment] = value.quantize(MILLIONTH, ROUND_HALF_EVEN)
    return found


@pytest.fixture(scope="module")
def readings() -> dict[int, dict[datetime, Decimal]]:
    return _readings()


@pytest.fixture(scope="module")
def water_city(tmp_path_factory: pytest.TempPathFactory, readings: dict[int, dict[datetime, Decimal]]) -> Iterator[City]:
    """A city that has played the water file from its first hour to its last."""
    root = tmp_path_factory.mktemp("water")
    roster = [f"{_subject(n)},utility.reading,{GRIDS[n % 4]},1h,2021-01-01" for n in DISTRICTS]
    with City(root, write_profile(root / "city", "Europe/Rome", roster)) as city:
        file = root / "inflow.csv"
        file.write_text("\n".join(map(",".join, _lines())) + "\n", "utf-8")
        said = city.run("replay", "--map", "water_districts", "--to", city.url, "--batch", "5000", "--json", file).ok().out
        report = json.loads(said)
        posted = sum(len(hours) for hours in readings.values())
        assert (report["accepted"], report["rejected"], report["repeated"]) == (posted, {}, 0)
        assert city.settled(posted)["stored"] == posted
        yield city


@pytest.mark.long
@pytest.mark.timeout(200)
def test_every_hour_of_the_water_file_is_a_window_of_its_own_in_utc(
    water_city: City, readings: dict[int, dict[datetime, Decimal]]
) -> None:
    for number, hours in readings.items():
        points = water_city.points("water.flow", GRIDS[number % 4], SPAN, "1h", _subject(number))
        seen = {point["start"]: (point["count"], point["value"]) for point in points if point["count"]}
        assert seen == {stamp(moment): (1, value) for moment, value in hours.items()}


@pytest.mark.parametrize(("day", "hours"), [("2021-03-28", 23), ("2021-10-31", 25), ("2022-03-27", 23), ("2022-10-30", 25)])
@pytest.mark.timeout(200)
def test_a_day_on_which_the_clock_changes_has_23_or_25_readings(
    water_city: City, readings: dict[int, dict[datetime, Decimal]], day: str, hours: int
) -> None:
    begin = datetime.fromisoformat(day).replace(tzinfo=ROME)
    end = begin.astimezone(UTC) + hours * HOUR
    (point,) = water_city.points("water.flow", CITY, (stamp(begin), stamp(end)), "1d")
    inside = [value for own in readings.values() for moment, value in own.items() if begin.astimezone(UTC) <= moment < end]
    assert (point["start"], point["count"], point["sum"]) == (stamp(begin), len(inside), sum(inside))
    (own,) = water_city.points("water.flow", GRIDS[1], (stamp(begin), stamp(end)), "1d", _subject(1))
    assert own["expected"] == hours


def test_the_days_of_the_whole_file_hold_as_many_readings_as_the_file(
    water_city: City, readings: dict[int, dict[datetime, Decimal]]
) -> None:
    wanted = Counter(stamp(moment.astimezone(ROME).replace(hour=0, fold=0)) for hours in readings.values() for moment in hours)
    points = water_city.points("water.flow", CITY, SPAN, "1d")
    assert {point["start"]: point["count"] for point in points if point["count"]} == wanted


@pytest.mark.parametrize(("number", "hours"), [(7, 626), (6, 1076), (9, 995)])
def test_a_long_silence_is_listed_as_one_hole(
    water_city: City, readings: dict[int, dict[datetime, Decimal]], number: int, hours: int
) -> None:
    moments = [None, *sorted(readings[number])]
    since = BEGINNING.astimezone(UTC) - HOUR  # the last moment that could have had a reading
    _, before, after = max((b - (a or since), a or since, b) for a, b in pairwise(moments) if b is not None)
    assert (after - before) // HOUR - 1 == hours
    listed = water_city.items(f"/v1/assets/{_subject(number)}/holes", from_=SPAN[0], to=SPAN[1])
    longest = max((hole for hole in listed if hole["end"]), key=_length)
    first = before == since
    assert _moment(longest["end"]) == _moment(longest["after"]) == after
    assert _moment(longest["start"]) == (before + HOUR if first else before)
    assert (longest["before"] and _moment(longest["before"])) == (None if first else before)
    silent = water_city.points("water.flow", GRIDS[number % 4], (stamp(before + HOUR), stamp(after)), "1h", _subject(number))
    assert len(silent) == hours
    assert {(point["count"], point["sum"], point["value"]) for point in silent} == {(0, None, None)}


def _length(hole: dict[str, str]) -> timedelta:
    return _moment(hole["end"]) - _moment(hole["start"])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_no_other_silence_is_listed_than_the_file_has(water_city: City, readings: dict[int, dict[datetime, Decimal]]) -> None:
    for number, hours in readings.items():
        moments = sorted(hours)
        wanted = [(one, other) for one, other in pairwise(moments) if other - one > 1.5 * HOUR]
        if moments[0] - BEGINNING.astimezone(UTC) > 1.5 * HOUR:
            wanted.insert(0, (BEGINNING.astimezone(UTC), moments[0]))
        listed = water_city.items(f"/v1/assets/{_subject(number)}/holes", from_=SPAN[0], to=SPAN[1])
        assert [(_moment(hole["start"]), _moment(hole["end"])) for hole in listed if hole["end"]] == wanted


def _register() -> list[tuple[str, Decimal]]:
    """Moments and kWh."""
    with gzip.open(DATA / "heat_meter" / "meter.csv.gz", "rt") as file:
        return [(row["time_rounded"], Decimal(row["energy_heat_kwh"])) for row in csv.DictReader(file)]


def _gigajoules(kilowatt_hours: Decimal) -> Decimal:
    return (kilowatt_hours * GIGAJOULES).quantize(MILLIONTH, ROUND_HALF_EVEN)


@pytest.mark.long
@pytest.mark.timeout(200)
def test_the_consumption_of_a_register_is_its_last_reading_less_the_first_resets_aside(tmp_path: Path) -> None:
    register = _register()
    span = ("2018-01-01T00:00:00Z", "2021-02-01T00:00:00Z")
    profile = write_profile(tmp_path / "city", roster=[f"heat-660,utility.reading,{GRIDS[2]},1h,"])
    with City(tmp_path, profile) as city:
        file = tmp_path / "meter.csv.gz"
        file.write_bytes((DATA / "heat_meter" / "meter.csv.gz").read_bytes())
        city.run("replay", "--map", "heat_meter", "--to", city.url, "--batch", "5000", "--json", file).ok()
        city.settled(len(register))
        first, last = register[0][1], register[-1][1]
        used = _gigajoules(last) - _gigajoules(first)
        assert _consumption(city, span) == (len(register) - 1, used)
        new, later = Decimal(1000), Decimal(2000)  # a new meter: its first reading is a reset and uses nothing
        _post_readings(city, [("2021-01-01T00:00:00Z", new), ("2021-01-01T01:00:00Z", later)])
        used += _gigajoules(later) - _gigajoules(new)
        assert _consumption(city, span)[1] == used
        closing = last + 1000
        _post_readings(city, [("2020-12-31T23:00:00Z", closing)])  # the old one's last reading, late
        used += _gigajoules(closing) - _gigajoules(last)
        assert _consumption(city, span)[1] == used
        assert city.on_data("state", "verify").ok().out


def _consumption(city: City, span: tuple[str, str]) -> tuple[int, Decimal]:
    """Readings and sum over all days of the meter, its grid, its district and the city; the same over the meter's hours."""
    found = set()
    places = ((GRIDS[2], "heat-660"), (GRIDS[2], None), (GRIDS[2][:6], None), (CITY, None))
    for area, subject, step in ((GRIDS[2], "heat-660", "1h"), *((*place, "1d") for place in places)):
        points = [point for point in city.points("heat.consumption", area, span, step, subject) if point["count"]]
        found.add((sum(point["count"] for point in points), sum(point["sum"] for point in points)))
        assert all(point["value"] == point["sum"] for point in points)
    (one,) = found
    return one


def _post_readings(city: City, readings: list[tuple[str, Decimal]]) -> None:
    already = city.settled()["accepted"]
    data = {"medium": "heat", "quantity": "register", "unit": "kWh"}
    events = [
        {
            "specversion": "1.0",
            "id": f"heat-660|{moment}",
            "source": "/heat/meters",
            "type": "utility.reading",
            "time": moment,
            "subject": "heat-660",
            "data": data | {"value": float(value)},
        }
        for moment, value in readings
    ]
    assert city.post(events).status == 202
    city.settled(already + len(events))
