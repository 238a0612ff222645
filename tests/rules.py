"""Rules with overrides, for tests of the tick engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from citybrain.city.literals import Name
from citybrain.rulebook.expression import compile_condition
from citybrain.rulebook.model import Absence, Threshold

_COMMON: dict[str, Any] = {
    "name": "lot_full",
    "title": Name("Lot full", "停车场已满"),
    "per": "subject",
    "severity": "warning",
    "labels": {},
    "annotations": {},
    "hold": timedelta(0),
    "keep_firing_for": timedelta(0),
    "lateness": None,
    "early": False,
    "inhibits": (),
    "renamed_from": None,
    "file": "rules.yaml",
    "line": 1,
}


def threshold(when: str, clear: str | None = None, window: int = 1, hold: int = 0, keep: int = 0, **changed: Any) -> Threshold:
    """`window`, `hold` and `keep` in minutes."""
    times = {"window": timedelta(minutes=window), "hold": timedelta(minutes=hold), "keep_firing_for": timedelta(minutes=keep)}
    conditions = {"when": compile_condition(when), "clear": None if clear is None else compile_condition(clear)}
    kind: dict[str, Any] = {"metric": "parking.occupied_ratio", "tumbling": False, "no_data": "keep"}
    return Threshold(**(_COMMON | kind | times | conditions | changed))


def absence(longer_than_s: int, **changed: Any) -> Absence:
    kind: dict[str, Any] = {"name": "meter_silent", "of": "utility.reading", "longer_than": timedelta(seconds=longer_than_s)}
    return Absence(**(_COMMON | kind | changed))
