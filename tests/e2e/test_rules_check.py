"""`citybrain rules check`, `city check` and `up` name every mistake of a rule book, one a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from city import run
from small_city import small_city_files

pytestmark = [pytest.mark.long, pytest.mark.timeout(90)]  # each command is a process of its own

GOOD = """\
rules:
  - rule: low_pressure
    metric: water.pressure
    per: subject
    window: 5m
    when: avg < 150
routes:
  - to: [water-duty]
"""


def test_a_right_book_is_counted(tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text(GOOD)
    assert run("rules", "check", "book.yaml", cwd=tmp_path).ok().out == "rules 1, routes 1, tests 0\n"
    assert json.loads(run("rules", "check", "book.yaml", "--json", cwd=tmp_path).ok().out) == {
        "rules": 1,
        "routes": 1,
        "tests": 0,
    }


def test_each_mistake_is_a_line_on_standard_error(tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text(GOOD.replace("avg < 150", "agv < 150").replace("5m", "soon"))
    (tmp_path / "other.yaml").write_text(GOOD.replace("routes", "roots"))
    ran = run("rules", "check", "book.yaml", "other.yaml", "nowhere.yaml", cwd=tmp_path)
    assert (ran.code, ran.out, ran.err) == (1, "", "nowhere.yaml: cannot be read: No such file or directory\n")
    ran = run("rules", "check", "book.yaml", "other.yaml", cwd=tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "book.yaml:5:13: rules[0].window: 'soon' is not a duration like 30s, 15m, 1h or 90d",
        "book.yaml:6:11: rules[0].when: unknown column 'agv', did you mean 'avg'?",
        "other.yaml:2:11: rules[0].rule: there is a rule 'low_pressure' already (book.yaml:2)",
        "other.yaml:7:1: roots: unknown key 'roots', did you mean 'routes'?",
    ]
    printed = run("rules", "check", "book.yaml", "--json", cwd=tmp_path)
    first = json.loads(printed.out.splitlines()[0])
    assert (first["file"], first["line"], first["column"], first["field"]) == ("book.yaml", 5, 13, "rules[0].window")


def test_a_broken_rule_book_is_refused_by_city_check_and_by_up(tmp_path: Path) -> None:
    profile = tmp_path / "city"
    (profile / "rules").mkdir(parents=True)
    for name, content in small_city_files().items():
        (profile / name).write_bytes(content)
    (profile / "rules" / "water.yaml").write_text(GOOD.replace("avg < 150", "agv < 150"))
    told = "rules/water.yaml:6:11: rules[0].when: unknown column 'agv', did you mean 'avg'?"
    checked = run("city", "check", profile, cwd=tmp_path)
    assert (checked.code, checked.out, checked.err) == (1, "", told + "\n")
    started = run("up", "--data", "data", "--port", "0", cwd=tmp_path, environment={"CITYBRAIN_CITY": str(profile)})
    assert (started.code, started.complaint) == (1, [f"citybrain: {told}"])
    (profile / "rules" / "water.yaml").write_text(GOOD)
    assert "rules 1" in run("city", "check", profile, cwd=tmp_path).ok().out
