"""The rule book that is shipped: every rule in both languages, with a reason, and with tests of when it fires and when not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from citybrain.commands.rules import rules
from citybrain.profiles import parse_rules, read_city
from citybrain.rulebook.model import Absence, RuleBook
from citybrain.rulebook.read import rule_book

ROOT = Path(__file__).parents[2]
CITY = ROOT / "deploy" / "city"
DEMO = ROOT / "services" / "citybrain" / "demo" / "rules.yaml"
FILES = [*sorted((CITY / "rules").glob("*.yaml")), DEMO]
DOMAINS = {"parking", "water", "power", "gas", "heat", "sanitation", "facilities"}


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return rule_book({str(path): path.read_bytes() for path in FILES})


def test_there_is_a_file_for_each_domain() -> None:
    assert {path.stem for path in FILES} >= DOMAINS
    assert all("rules:" in (CITY / "rules" / f"{name}.yaml").read_text("utf-8") for name in DOMAINS)


def test_every_rule_speaks_both_languages_and_names_its_team(book: RuleBook) -> None:
    for rule in book.rules:
        assert rule.title.en != rule.name, rule.name
        assert rule.title.zh != rule.title.en, rule.name
        assert set(rule.annotations) == {"en", "zh"}, rule.name
        assert "team" in rule.labels, rule.name


def test_every_rule_has_a_reason_for_its_threshold(book: RuleBook) -> None:
    for rule in book.rules:
        lines = Path(rule.file).read_text("utf-8").splitlines()
        assert rule.name in lines[rule.line - 1]
        assert lines[rule.line - 2].lstrip().startswith("#") or Path(rule.file) == DEMO, rule.name


def test_every_rule_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(book: RuleBook) -> None:
    for rule in book.rules:
        tests = [one for one in book.tests if one.rule == rule.name]
        assert any(one.expect for one in tests), rule.name
        if isinstance(rule, Absence):  # fires after the last reading of each test: not firing lies between two readings
            assert any(len(one.events) > len(one.expect) for one in tests), rule.name
        else:
            assert any(not one.expect for one in tests), rule.name


def test_every_team_has_a_route(book: RuleBook) -> None:
    routed = {route.match.get("team") for route in book.routes}
    assert {rule.labels["team"] for rule in book.rules} <= routed


def test_the_tests_of_the_book_pass() -> None:
    ran = CliRunner().invoke(rules, ["test", *map(str, FILES), "--city", str(CITY)])
    assert ran.exit_code == 0, ran.output


def test_the_shipped_profile_loads_with_and_without_the_rules_of_the_demo() -> None:
    files, _ = read_city(CITY)
    more, _ = read_city(CITY, {"rules/of-the-demo.yaml": DEMO.read_bytes()})
    assert len(parse_rules(more).book.rules) == len(parse_rules(files).book.rules) + 1
