"""Which scopes have to be looked at again, and what differs between two rule books."""

from __future__ import annotations

from typing import Any

import polars as pl

from alerting import FULL, SILENT, written
from citybrain.alert.reload import compare
from citybrain.alert.spans import groups_of, moving_minutes, parts, spread
from citybrain.rulebook.model import RuleBook
from citybrain.rulebook.read import rule_book


def book(*rules: dict[str, Any]) -> RuleBook:
    return rule_book(written(rules))


def test_rules_of_one_window_are_looked_at_together() -> None:
    others = [FULL | {"rule": "b"}, FULL | {"rule": "c", "window": "5m"}, FULL | {"rule": "d", "per": "grid"}, SILENT]
    assert [[rule.name for rule in group.rules] for group in groups_of(book(FULL, *others).rules)] == [
        ["lot_full", "b"],
        ["c"],
        ["d"],
    ]


def test_a_tick_moves_what_enters_and_what_leaves_its_window() -> None:
    (group,) = groups_of(book(FULL | {"window": "15m"}).rules)
    assert moving_minutes(group, 100, 101) == [85, 100]
    assert moving_minutes(group, 100, 103) == [85, 86, 87, 100, 101, 102]


def test_a_rule_that_compares_looks_at_what_leaves_the_window_before() -> None:
    (group,) = groups_of(
        book(FULL | {"window": "5m", "when": "avg < previous * 0.7", "clear": "avg > previous", "kind": "change"}).rules
    )
    assert group.reach == 10
    assert moving_minutes(group, 100, 101) == [90, 95, 100]


def test_tumbling_windows_move_at_their_ends_alone() -> None:
    (group,) = groups_of(book(FULL | {"window": "10m", "tumbling": True}).rules)
    assert moving_minutes(group, 101, 102) == [101]
    assert set(moving_minutes(group, 109, 110)) >= set(range(90, 110))


def test_spans_become_a_row_a_tick() -> None:
    spans = pl.DataFrame({"rule": [0, 1, 1], "series": [7, 7, 8], "begin": [3, 5, 6], "end": [5, 5, 7]})
    assert spread(spans).rows() == [(0, 7, 4), (0, 7, 5), (1, 8, 7)]


def test_work_is_cut_into_parts_and_nothing_is_lost() -> None:
    begins = [(n, 0) for n in range(10)]
    cut = list(parts(begins, 2, 5, 30))
    assert [len(part) for part in cut] == [3, 3, 3, 1]
    assert [one for part in cut for one in part] == begins


def test_books_differ_by_what_an_alert_is_judged_by() -> None:
    after = (FULL | {"when": "last >= 0.9"}, SILENT | {"severity": "info"}, FULL | {"rule": "new"})
    found = compare(book(FULL, SILENT, FULL | {"rule": "old"}), book(*after))
    assert (found.changed, found.fresh, found.removed, found.renamed) == ({"lot_full"}, {"new"}, {"old"}, {})


def test_a_renamed_rule_is_neither_new_nor_gone() -> None:
    found = compare(book(FULL), book(FULL | {"rule": "full", "renamed_from": "lot_full", "for": "5m", "early": False}))
    assert (found.changed, found.fresh, found.removed, found.renamed) == ({"full"}, set(), set(), {"lot_full": "full"})


def test_a_rule_of_another_level_is_another_rule() -> None:
    found = compare(book(FULL), book(FULL | {"per": "grid"}))
    assert (found.changed, found.fresh, found.removed) == (set(), {"lot_full"}, {"lot_full"})
