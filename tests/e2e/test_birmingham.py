"""A real file in any order, posted twice in part and killed in the middle: the same state, and the figures that SQL gives."""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from places import CITY, DISTRICTS, GRIDS, stamp, write_profile

from city import City

FILE = Path(__file__).parents[1] / "data" / "parking_birmingham" / "parking.csv.gz"
ZONE = "Europe/London"
SPAN = ("2016-10-03T23:00:00Z", "2016-12-20T00:00:00Z")
ROWS, DISTINCT, NEGATIVE = 35_717, 35_501, 12
MILLIONTH = Decimal("0.000001")
Batch = list[dict[str, Any]]
Figures = dict[str, Any]

_READINGS = """
create temp table reading as
select distinct SystemCodeNumber as subject, timezone(?, LastUpdated) as moment, Occupancy as occupied, Capacity as capacity,
       SystemCodeNumber || '|' || LastUpdated || '|' || Occupancy as id, place.grid, place.district, place.city
  from read_csv(?, types = {'LastUpdated': 'VARCHAR'}) f
  join place on place.subject = f.SystemCodeNumber
 where Occupancy >= 0
"""
# Each subject's mean in the window first; then the subjects added up, or numerators and weights.
_WINDOWS = """
with own as (
  select {area} as area, {lot} as lot, subject, date_trunc('{step}', moment) as start, count(*) as n, sum(occupied) as total,
         min(occupied) as low, max(occupied) as high, arg_max(occupied, (moment, id)) as last, max((moment, id)) as latest,
         avg(occupied) as mean, avg(capacity) as weight
    from reading group by all
)
select area, lot, epoch_us(start), sum(n), sum(total), min(low), max(high), arg_max(last, latest), sum(mean), count(*),
       sum(mean) / sum(weight)
  from own group by area, lot, start
"""


def _lots() -> dict[str, str]:
    """The grid of every car park, in the order of their names."""
    with gzip.open(FILE, "rt") as file:
        names = sorted({row["SystemCodeNumber"] for row in csv.DictReader(file)})
    return {name: GRIDS[number % len(GRIDS)] for number, name in enumerate(names)}


def _events(lots: dict[str, str]) -> Batch:
    with gzip.open(FILE, "rt") as file:
        return [
            {
                "specversion": "1.0",
                "id": f"{row['SystemCodeNumber']}|{row['LastUpdated']}|{row['Occupancy']}",
                "source": "/parking/birmingham",
                "type": "parking.occupancy",
                "time": stamp(datetime.fromisoformat(row["LastUpdated"]).replace(tzinfo=ZoneInfo(ZONE))),
                "subject": row["SystemCodeNumber"],
                "area": lots[row["SystemCodeNumber"]],
                "data": {"occupied": int(row["Occupancy"]), "capacity": int(row["Capacity"])},
            }
            for row in csv.DictReader(file)
        ]


def _orders(events: Batch) -> Iterator[tuple[str, Batch]]:
    yield "as in the file", events
    yield "by time", sorted(events, key=lambda event: str(event["time"]))
    yield "shuffled", random.Random(482).sample(events, len(events))


def _play(city: City, events: Batch) -> None:
    """Posts of 500, one in twenty of them again at the end, and a kill while a post in the middle is under way."""
    posts = [events[begin : begin + 500] for begin in range(0, len(events), 500)]
    posts += posts[::20]
    with ThreadPoolExecutor(1) as thread:
        for number, part in enumerate(posts):
            posting = thread.submit(city.post_until_answered, part)
            if number == len(posts) // 2:
                city.kill(database=True)
                city.start()
            answer = posting.result()
            negative = [index for index, event in enumerate(part) if event["data"]["occupied"] < 0]
            assert answer.status == (207 if negative else 202), answer.body
            refused = [(item["index"], item["code"], item["field"]) for item in answer.json["rejected"]]
            assert refused == [(index, "invalid_field", "data.occupied") for index in negative]


def _truth(lots: dict[str, str]) -> dict[tuple[str, str | None, str], dict[str, Figures]]:
    """By (area, lot, step) and start what the windows have to be, straight from the file."""
    found: dict[tuple[str, str | None, str], dict[str, Figures]] = {}
    with duckdb.connect() as database:
        database.execute(f"set timezone = '{ZONE}'")
        database.execute("create temp table place (subject text, grid text, district text, city text)")
        database.executemany("insert into place values (?, ?, ?, ?)", [(lot, grid, grid[:6], CITY) for lot, grid in lots.items()])
        database.execute(_READINGS.replace("LastUpdated)", "LastUpdated::timestamp)"), [ZONE, str(FILE)])
        assert database.execute("select count(*) from reading").fetchone() == (DISTINCT - NEGATIVE,)
        for step, part in (("1h", "hour"), ("1d", "day")):
            for area, lot in (("grid", "subject"), ("grid", "null"), ("district", "null"), ("city", "null")):
                for row in database.execute(_WINDOWS.format(area=area, lot=lot, step=part)).fetchall():
                    start = stamp(datetime.fromtimestamp(row[2] / 1_000_000, UTC))
                    names = ("count", "sum", "min", "max", "last", "value", "subjects", "ratio")
                    found.setdefault((row[0], row[1], step), {})[start] = dict(zip(names, row[3:], strict=True))
    return found


def _compare(city: City, lots: dict[str, str]) -> int:
    truth = _truth(lots)
    scopes = [(CITY, None), *((area, None) for area in (*DISTRICTS, *GRIDS)), *((grid, lot) for lot, grid in lots.items())]
    windows = 0
    for area, lot in scopes:
        for step in ("1h", "1d"):
            expected = truth[area, lot, step]
            seen = _by_start(city.points("parking.occupied", area, SPAN, step, lot))
            ratios = _by_start(city.points("parking.occupied_ratio", area, SPAN, step, lot))
            assert seen.keys() == expected.keys() == ratios.keys(), (area, lot, step)
            for start, wanted in expected.items():
                _compare_window(seen[start], ratios[start], wanted, leaf=lot is not None)
            windows += len(expected)
    return windows


def _by_start(points: list[Figures]) -> dict[str, Figures]:
    return {point["start"]: point for point in points if point["count"]}


def _compare_window(seen: Figures, ratio: Figures, wanted: Figures, *, leaf: bool) -> None:
    for name in ("count", "sum", "min", "max", "last"):
        assert seen[name] == wanted[name], (name, seen, wanted)
    assert seen["subjects"] == ratio["subjects"] == wanted["subjects"], (seen, wanted)
    assert ratio["count"] == wanted["count"], (ratio, wanted)
    assert abs(seen["value"] - Decimal(wanted["value"])) <= MILLIONTH, (seen, wanted)
    assert abs(seen["avg"] - Decimal(wanted["sum"]) / wanted["count"]) <= MILLIONTH, (seen, wanted)
    assert abs(ratio["value"] - Decimal(wanted["ratio"])) <= MILLIONTH, (ratio, wanted)
    assert not leaf or seen["value"] == seen["avg"], seen


@pytest.mark.long
@pytest.mark.timeout(300)
def test_birmingham_in_three_orders_with_repeats_and_a_kill_gives_one_state_and_sql_agrees(
    tmp_path: Path,
) -> None:
    lots = _lots()
    events = _events(lots)
    assert len(events) == ROWS
    profile = write_profile(tmp_path / "city", ZONE, [f"{lot},parking.occupancy,{grid},30m," for lot, grid in lots.items()])
    dumps: list[str] = []
    for name, order in _orders(events):
        root = tmp_path / name.replace(" ", "-")
        root.mkdir()
        with City(root, profile) as city:
            _play(city, order)
            status = city.settled()
            assert (status["stored"], status["conflicts"], status["dead"]) == (DISTINCT - NEGATIVE, 0, 0)
            dumps.append(city.dump())
            assert dumps[-1] == dumps[0], f"{name}: {_first_difference(dumps[0], dumps[-1])}"
            if len(dumps) == 1:
                assert _compare(city, lots) > 20_000
                _check_over_capacity(city)
                assert city.on_data("state", "verify").ok().out


def _first_difference(one: str, other: str) -> str:
    pairs = zip(one.splitlines(), other.splitlines(), strict=False)
    return next((f"{mine} against {theirs}" for mine, theirs in pairs if mine != theirs), "one is longer")


def _check_over_capacity(city: City) -> None:
    stored = [event["data"] for event in city.items("/v1/events", limit=1000)]
    assert len(stored) == DISTINCT - NEGATIVE
    over = [data for data in stored if data["occupied"] > data["capacity"]]
    with duckdb.connect() as database:
        query = "select count(*) from (select distinct * from read_csv(?)) where Occupancy > Capacity"
        assert database.execute(query, [str(FILE)]).fetchone() == (len(over),)
