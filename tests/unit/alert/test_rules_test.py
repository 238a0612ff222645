"""`rules test`: the command, on files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from citybrain.commands.rules import rules
from records import GRIDS

DEMO = Path(__file__).parents[3] / "deploy" / "city"

FULL: dict[str, Any] = {
    "rule": "lot_full", "title": {"en": "Lot full", "zh": "停车场已满"}, "metric": "parking.occupied_ratio", "per": "subject",
    "window": "1m", "when": "last >= 0.95", "clear": "last < 0.85", "for": "1m",
}  # fmt: skip
SILENT: dict[str, Any] = {
    "rule": "meter_silent", "title": {"en": "Meter silent", "zh": "表计失联"}, "kind": "absence", "of": "utility.reading",
    "per": "subject", "longer_than": "30m",
}  # fmt: skip


def at(minute: int, second: int = 0) -> str:
    return f"2026-11-23T{8 + minute // 60:02}:{minute % 60:02}:{second:02}Z"


def lot(minute: int, occupied: int, **changed: Any) -> dict[str, Any]:
    data = {"occupied": occupied, "capacity": 100}
    return {"type": "parking.occupancy", "time": at(minute, 30), "subject": "lot-1", "area": GRIDS[0], "data": data} | changed


def meter(minute: int, value: object = 3, subject: str = "meter-1", quantity: str = "flow", unit: str = "m³/h") -> dict[str, Any]:
    data = {"medium": "water", "quantity": quantity, "value": value, "unit": unit}
    return {"type": "utility.reading", "time": at(minute, 30), "subject": subject, "area": GRIDS[0], "data": data}


Many = list[dict[str, Any]]


def run(folder: Path, some: Many, rule: str, events: Many, expect: Many, *more: str) -> Result:
    file = folder / "book.yaml"
    file.write_text(json.dumps({"rules": some, "tests": [{"rule": rule, "events": events, "expect": expect}]}))
    return CliRunner().invoke(rules, ["test", str(file), *more])


def came(result: Result) -> list[tuple[str, str, str | None]]:
    """What came though nothing was expected, in minutes."""
    (failed,) = json.loads(result.stdout)["failed"]
    return [(one["scope"], one["started_at"][11:16], one["ended_at"] and one["ended_at"][11:16]) for one in failed["unexpected"]]


def test_a_test_whose_episodes_come_passes(tmp_path: Path) -> None:
    events = [lot(0, 97), lot(1, 98), lot(2, 90), lot(3, 50)]
    expect = [{"subject": "lot-1", "started_at": at(1), "ended_at": at(4)}]
    done = run(tmp_path, [FULL], "lot_full", events, expect)
    assert (done.exit_code, done.stdout) == (0, "tests 1, failed 0\n")


def test_a_difference_names_the_rule_and_what_came_and_fails(tmp_path: Path) -> None:
    expect = [{"subject": "lot-2", "started_at": at(1)}]
    done = run(tmp_path, [FULL], "lot_full", [lot(0, 97), lot(1, 98)], expect)
    assert done.exit_code == 1
    assert "lot_full: failed" in done.stderr
    assert "expected, and did not come: lot-2 from 2026-11-23T08:01:00.000000Z on, still firing" in done.stderr
    assert "came, and was not expected: lot-1 from 2026-11-23T08:01:00.000000Z on, still firing" in done.stderr


def test_what_was_only_pending_is_no_episode(tmp_path: Path) -> None:
    assert run(tmp_path, [FULL], "lot_full", [lot(0, 97), lot(1, 50)], []).exit_code == 0


def test_an_event_that_is_repeated_counts_once(tmp_path: Path) -> None:
    rule = FULL | {"when": "count >= 2", "clear": "count < 2", "for": "0s"}
    once = lot(0, 97, id="same", source="/lots")
    assert run(tmp_path, [rule], "lot_full", [once, once], []).exit_code == 0


def test_silence_is_tested_and_lasts_after_the_last_reading(tmp_path: Path) -> None:
    done = run(tmp_path, [SILENT], "meter_silent", [meter(0), meter(45)], [], "--json")
    assert came(done) == [("meter-1", "08:31", "08:46"), ("meter-1", "09:16", None)]


def test_many_that_fall_silent_together_are_tested_too(tmp_path: Path) -> None:
    events = [meter(0, subject=f"meter-{n}") for n in range(6)] + [meter(50, subject="meter-0")]
    done = run(tmp_path, [SILENT], "source_silent", events, [], "--json", "--city", str(DEMO))
    assert ("/test", "08:31", None) in came(done)


def test_areas_are_looked_at_as_the_city_says(tmp_path: Path) -> None:
    city = DEMO
    features = json.loads((city / "areas.geojson").read_text("utf-8"))["features"]
    parents = {one["properties"]["code"]: one["properties"]["parent"] for one in features}
    grid = next(one["properties"]["code"] for one in features if one["properties"]["level"] == "grid")
    rule = FULL | {"per": "street", "window": "2m", "when": "value >= 0.9 and subjects = 2", "for": "0s", "clear": "value < 0.9"}
    events = [lot(0, 100, area=grid), lot(1, 40, area=grid), lot(1, 120, area=grid, subject="lot-2")]
    done = run(tmp_path, [rule], "lot_full", events, [], "--json", "--city", str(city))
    assert came(done) == [(parents[parents[grid]], "08:02", "08:03")]


def test_an_area_that_the_city_does_not_know_is_told(tmp_path: Path) -> None:
    rule = FULL | {"per": "street"}
    done = run(tmp_path, [rule], "lot_full", [lot(0, 97, area="000000")], [], "--city", str(DEMO))
    assert "lot_full: event 0: 000000 is no area of the city" in str(done.exception)


def test_pairs_of_readings_are_told_apart(tmp_path: Path) -> None:
    rule = FULL | {"metric": "water.consumption", "when": "value > 5", "for": "0s"}
    del rule["clear"]
    events = [meter(n, value, quantity="register", unit="m³") for n, value in enumerate((100, 104, 110, 111))]
    done = run(tmp_path, [rule], "lot_full", events, [], "--json")
    assert came(done) == [("meter-1", "08:03", "08:04")]


def test_a_file_without_tests_has_nothing_to_fail(tmp_path: Path) -> None:
    file = tmp_path / "book.yaml"
    file.write_text(json.dumps({"rules": [FULL]}))
    done = CliRunner().invoke(rules, ["test", str(file)])
    assert (done.exit_code, done.stdout) == (0, "tests 0, failed 0\n")
