"""Rules, routes and tests are read as they are written, and every mistake is told with its place."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from books import BOOK, FILE, book, mistakes

from citybrain.city import Mistake, Name
from citybrain.city.yaml_document import Document
from citybrain.rulebook.endpoints import read_endpoints
from citybrain.rulebook.model import Absence, Escalation, Expected, Inhibition, RuleBook, Threshold
from citybrain.rulebook.read import read_rule_book, rule_book

MINUTE = timedelta(minutes=1)


def threshold(text: str) -> Threshold:
    found = book("rules:\n- {rule: a, metric: water.flow, per: subject, window: 1m, when: avg > 1" + text + "}").rules[0]
    assert isinstance(found, Threshold)
    return found


def test_all_that_a_rule_says_is_read() -> None:
    rule = book().rules[0]
    assert isinstance(rule, Threshold)
    assert (rule.name, rule.title, rule.per, rule.severity) == (
        "lot_full",
        Name("Parking lot full", "停车场已满"),
        "subject",
        "major",
    )
    assert (rule.metric, rule.window, rule.tumbling, rule.no_data) == ("parking.occupied_ratio", 15 * MINUTE, False, "ok")
    assert (rule.hold, rule.keep_firing_for, rule.lateness, rule.early) == (5 * MINUTE, 10 * MINUTE, timedelta(days=3), True)
    assert rule.when.text == "avg >= 0.95 and count >= 3"
    assert rule.clear is not None
    assert rule.clear.text == "avg < 0.85"
    assert rule.labels == {"team": "traffic"}
    assert rule.annotations == {"en": "{subject} is {avg:.0%} full", "zh": "{subject}"}
    assert (rule.renamed_from, rule.file, rule.line) == ("full_lot", FILE, 2)


def test_change_and_absence_are_read() -> None:
    _, burst, silent = book().rules
    assert isinstance(burst, Threshold)
    assert (burst.window, burst.when.previous_of) == (MINUTE, {"avg"})
    assert burst.inhibits == (Inhibition("lot_full", ("street", "team")),)
    assert isinstance(silent, Absence)
    assert (silent.of, silent.longer_than, silent.per, silent.early) == ("utility.reading", 30 * MINUTE, "subject", False)
    assert silent.title == Name("meter_silent", "meter_silent")


def test_what_a_rule_leaves_out_is_as_the_contract_says() -> None:
    rule = threshold("")
    assert (rule.clear, rule.hold, rule.keep_firing_for, rule.no_data) == (None, timedelta(), timedelta(), "keep")
    assert (rule.severity, rule.early, rule.lateness, rule.tumbling, rule.labels) == ("warning", True, None, False, {})
    assert (rule.annotations, rule.inhibits, rule.renamed_from) == ({}, (), None)


@pytest.mark.parametrize(
    ("text", "early"),
    [(", for: 0", True), (", for: 0s", True), (", for: 1m", False), (", for: 1m, early: true", True), (", early: false", False),
     (", tumbling: true", False)],
)  # fmt: skip
def test_a_rule_is_early_by_itself_only_when_it_holds_for_no_time(text: str, early: bool) -> None:
    assert threshold(text).early is early


def test_routes_are_read_and_what_they_leave_out_is_as_in_alertmanager() -> None:
    first, last = book().routes
    assert first.match == {"team": "traffic", "rule": "lot_full", "severity": "major", "area": "610602"}
    assert (first.to, first.group_by, first.proceed) == (("traffic-duty",), ("rule", "street", "team"), True)
    assert (first.group_wait, first.group_interval, first.repeat_interval) == (timedelta(), MINUTE, timedelta(hours=12))
    assert first.escalate == (Escalation(15 * MINUTE, ("duty-chief",)),)
    assert (last.match, last.group_by, last.proceed, last.escalate) == ({}, ("rule",), False, ())
    assert (last.group_wait, last.group_interval, last.repeat_interval) == (MINUTE / 2, 5 * MINUTE, timedelta(hours=4))


def test_events_of_tests_are_as_json_has_them() -> None:
    (test,) = book().tests
    assert test.events == (
        {"specversion": "1.0", "id": "event-0", "source": "/test", "type": "parking.occupancy",
         "time": "2026-11-23T08:00:00+08:00", "subject": "0031", "data": {"occupied": 97, "capacity": 100}},
    )  # fmt: skip
    assert test.expect == (Expected("0031", "2026-11-23T00:01:00.000000Z", None),)
    assert (test.rule, test.file, test.line) == ("lot_full", FILE, 40)


def test_a_book_may_be_in_several_files_that_name_each_other() -> None:
    parts = BOOK.split("routes:")
    whole = book(parts[0], b_routes="routes:" + parts[1])
    assert (len(whole.rules), len(whole.routes), len(whole.tests)) == (3, 2, 1)
    assert [whole.routes[0].file, *whole.texts] == ["rules/b_routes.yaml", "rules/b_routes.yaml", FILE]


def test_a_book_may_be_written_as_json_and_may_be_without_anything() -> None:
    rule = {"rule": "a", "metric": "water.flow", "per": "city", "window": "1d", "when": "value > 1", "early": True, "for": "0"}
    assert book(json.dumps({"rules": [rule], "routes": []}, indent=1)).rules[0].early is True
    assert mistakes("rules: []") == []


def test_no_files_are_a_book_without_rules() -> None:
    assert rule_book({}) == RuleBook()


# What is replaced in BOOK, by what, where and what is told.
CASES = [
    ("- rule: lot_full", "- rule: lot full", "2:11: rules[0].rule: 'lot full' is not a name"),
    ("- rule: lot_full", "- rule: source_silent", "2:11: rules[0].rule: 'source_silent' is the name of the built-in alert"),
    ("- rule: burst", "- rule: lot_full", "18:11: rules[1].rule: there is a rule 'lot_full' already (rules/book.yaml:2)"),
    ("title: {en: Parking lot full, zh: 停车场已满}", "title: Full", "3:12: rules[0].title: has to be a mapping"),
    ("metric: parking.occupied_ratio", "metric: parking.ocupied_ratio",
     "4:13: rules[0].metric: unknown metric 'parking.ocupied_ratio', did you mean 'parking.occupied_ratio'?"),
    ("    metric: parking.occupied_ratio\n", "", "2:5: rules[0].metric: is missing"),
    ("per: street", "per: stret", "21:10: rules[1].per: unknown per 'stret', did you mean 'street'?"),
    ("window: 15m", "window: soon", "6:13: rules[0].window: 'soon' is not a duration"),
    ("window: 15m", "window: 90s", "6:13: rules[0].window: '90s' is not a window of whole minutes"),
    ("window: 15m", "window: 0m", "6:13: rules[0].window: '0m' is not a window of whole minutes"),
    ("window: 15m", "window: 25h", "6:13: rules[0].window: '25h' is not a window of whole minutes"),
    ("count >= 3", "coutn >= 3", "7:27: rules[0].when: unknown column 'coutn', did you mean 'count'?"),
    ("avg >= 0.95 and count >= 3", '"avg >= 0.95 and coutn >= 3"', "7:28: rules[0].when: unknown column 'coutn'"),
    ("avg >= 0.95 and count >= 3", ">-\n      avg >= 0.95 and\n      coutn >= 3", "7:11: rules[0].when: unknown column 'coutn'"),
    ("avg >= 0.95 and count >= 3", "[avg]", "7:5: rules[0].when: has to be a single value"),
    ("avg >= 0.95 and count >= 3", "", "7:10: rules[0].when: is empty"),
    ("clear: avg < 0.85", "clear: avg < baseline", "8:18: rules[0].clear: `baseline` is not evaluated by this version yet"),
    ("for: 5m", "for: 5", "9:10: rules[0].for: '5' is not a duration"),
    ("for: 5m", "fro: 5m", "9:5: rules[0].fro: unknown key 'fro', did you mean 'for'?"),
    ("no_data: ok", "no_data: okay", "11:14: rules[0].no_data: unknown no_data 'okay', did you mean 'ok'?"),
    ("severity: major", "severity: minor-typo",
     "12:15: rules[0].severity: unknown severity 'minor-typo': there are info, warning, major, critical"),
    ("{team: traffic}\n", "{street: traffic}\n", "13:14: rules[0].labels.street: 'street' is what an alert has of itself"),
    ("{team: traffic}\n", "{te-am: traffic}\n", "13:14: rules[0].labels.te-am: 'te-am' is not a label's name"),
    ("{team: traffic}\n", "{team: [traffic]}\n", "13:14: rules[0].labels.team: has to be a single value"),
    ("{avg:.0%}", "{agv:.0%}", "14:38: rules[0].annotations.en: unknown name 'agv', did you mean 'avg'?"),
    ("{avg:.0%}", "{avg.real}", "14:38: rules[0].annotations.en: unknown name 'avg.real'"),
    ("early: true", "early: yes", "16:12: rules[0].early: 'yes' is neither true nor false"),
    ("early: true", "tumbling: true\n    early: true", "17:12: rules[0].early: a tumbling window is looked at when it is over"),
    ("renamed_from: full_lot", "renamed_from: burst", "17:19: rules[0].renamed_from: there still is a rule 'burst'"),
    ("kind: change", "kind: chnage", "19:11: rules[1].kind: unknown kind 'chnage', did you mean 'change'?"),
    ("kind: change", "kind: baseline", "19:11: rules[1].kind: rules of kind baseline are not evaluated by this version yet"),
    ("kind: change", "kind: correlation", "19:11: rules[1].kind: rules of kind correlation are not"),
    ("kind: change", "opens_case: {category: 0501}", "19:5: rules[1].opens_case: is not evaluated by this version yet"),
    ("kind: change", 'between: "02:00-04:00"', "19:5: rules[1].between: is not evaluated by this version yet"),
    ("when: avg < previous * 0.7", "when: avg < 7", "23:11: rules[1].when: does not name `previous`"),
    ("rule: lot_full, same", "rule: lot_ful, same", "24:23: rules[1].inhibits[0].rule: unknown rule 'lot_ful'"),
    ("rule: lot_full, same", "rule: burst, same", "24:23: rules[1].inhibits[0].rule: a rule does not inhibit itself"),
    ("same: [street, team]", "same: [stret]", "24:40: rules[1].inhibits[0].same[0]: unknown level or label 'stret'"),
    ("same: [street, team]", "same: []", "24:33: rules[1].inhibits[0].same: has to name a level"),
    ("kind: absence", "kind: absense", "26:11: rules[2].kind: unknown kind 'absense', did you mean 'absence'?"),
    ("of: utility.reading", "of: utility.readng", "27:9: rules[2].of: unknown event type 'utility.readng'"),
    ("of: utility.reading", "of: case.reported", "27:9: rules[2].of: case.reported has no assets that could fall silent"),
    ("longer_than: 30m", "longer_then: 30m", "28:5: rules[2].longer_then: unknown key 'longer_then'"),
    ("longer_than: 30m", "longer_than: 0s", "28:18: rules[2].longer_than: '0s' has to be longer than zero"),
    ("longer_than: 30m", "longer_than: 30m\n    for: 5m", "29:5: rules[2].for: does not belong to a rule of kind absence"),
    ("longer_than: 30m", "longer_than: 30m\n    per: street", "29:10: rules[2].per: an absence is of a subject"),
    ("{team: traffic, rule: lot_full", "{taem: traffic, rule: lot_full",
     "30:13: routes[0].match.taem: unknown name 'taem', did you mean 'team'?"),
    ("rule: lot_full, severity", "rule: lot_ful, severity", "30:34: routes[0].match.rule: unknown rule 'lot_ful'"),
    ("severity: major, area", "severity: mayor, area", "30:54: routes[0].match.severity: unknown severity 'mayor'"),
    ("area: 610602", "street: 610602", "30:61: routes[0].match.street: write `area` for `street`"),
    ("to: [traffic-duty]", "to: []", "31:5: routes[0].to: has to name an endpoint"),
    ("    to: [traffic-duty]\n", "", "30:5: routes[0].to: is missing"),
    ("group_by: [rule, street, team]", "group_by: [rule, stret]", "32:22: routes[0].group_by[1]: unknown name 'stret'"),
    ("group_interval: 1m", "group_interval: 0s", "34:21: routes[0].group_interval: '0s' has to be longer than zero"),
    ("unless: acknowledged", "unless: seen", "37:37: routes[0].escalate[0].unless: 'seen' is not `acknowledged`"),
    ("tests:\n  - rule: lot_full", "tests:\n  - rule: lot_ful", "40:11: tests[0].rule: unknown rule 'lot_ful'"),
    ("type: parking.occupancy", "type: parking.ocupancy", "42:16: tests[0].events[0].type: is not known; did you"),
    ("occupied: 97", "occupied: lots", "42:102: tests[0].events[0].data.occupied:"),
    ("+08:00}", "}", "44:37: tests[0].expect[0].started_at: '2026-11-23T08:01:00' is not a time"),
    ("08:01:00+08:00", "08:01:30+08:00", "44:37: tests[0].expect[0].started_at: '2026-11-23T08:01:30+08:00' is no tick"),
    ("- {subject: 0031, started", "- {started", "44:9: tests[0].expect[0]: has to name either a subject, an area or a source"),
    ("tests:\n", "test:\n", "39:1: test: unknown key 'test', did you mean 'tests'?"),
    ("    clear: avg", "   clear: avg", "8:4: expected <block end>"),
    ("clear: avg", "clear: !!python/name:os.system avg", "8:12: tags are not read"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "told"), CASES, ids=[f"{number}-{new.strip()[:30]}" for number, (_, new, _) in enumerate(CASES)]
)
def test_a_mistake_names_file_line_column_and_field(old: str, new: str, told: str) -> None:
    assert old in BOOK
    found = mistakes(BOOK.replace(old, new, 1))
    assert any(one.startswith(f"{FILE}:{told}") for one in found), found


def test_all_mistakes_are_told_at_once() -> None:
    text = (
        BOOK.replace("window: 15m", "window: soon")
        .replace("severity: major", "severity: loud")
        .replace("to: [everybody]", "to: []")
    )
    found = mistakes(text, other="rules:\n- {rule: lot_full, kind: deadline}\n- 7\n")
    assert [one.split(": ")[0] for one in found] == [
        "rules/book.yaml:6:13", "rules/book.yaml:12:15", "rules/book.yaml:30:54", "rules/book.yaml:38:5", "rules/other.yaml:2:10",
        "rules/other.yaml:2:26", "rules/other.yaml:3:3",
    ]  # fmt: skip


def test_routes_name_endpoints_that_there_are_when_they_are_known() -> None:
    assert mistakes(BOOK, ["traffic-duty", "everybody", "duty-chief"]) == []
    assert mistakes(BOOK, ["traffic-duties", "everybody", "duty-chief"]) == [
        f"{FILE}:31:10: routes[0].to[0]: unknown endpoint 'traffic-duty', did you mean 'traffic-duties'?"
    ]


def test_one_rule_is_not_carried_over_to_two() -> None:
    rule = "- {{rule: {0}, kind: absence, of: bin.level, longer_than: 1h, renamed_from: old}}\n"
    assert [one.split(": ", 1)[1] for one in mistakes("rules:\n" + rule.format("a") + rule.format("b"))] == [
        "a.renamed_from: another rule was 'old', too", "b.renamed_from: another rule was 'old', too"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "[]", "7", "rules: 7", "rules: {a: b}", "rules: [[]]", "tests: [7]", "routes: [~]", "\x00", "rules: [" * 500]
)
def test_a_file_of_another_shape_is_refused_without_a_crash(text: str) -> None:
    assert mistakes(text)


def test_the_examples_of_the_how_to_page_are_right() -> None:
    page = (Path(__file__).parents[3] / "docs" / "howto" / "rules.md").read_text("utf-8")
    examples = dict(re.findall(r"```yaml as (\S+\.yaml)\n(.*?)```", page, re.DOTALL))
    noted: list[Mistake] = []
    lines = read_endpoints(Document("endpoints.yaml", examples.pop("endpoints.yaml").encode(), noted), noted)
    read = read_rule_book({name: text.encode() for name, text in examples.items()}, noted, [line.name for line in lines])
    assert not noted
    assert (len(read.rules), len(read.routes), len(read.tests)) == (3, 2, 1)
