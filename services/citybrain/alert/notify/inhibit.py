"""Which firing alert keeps another one from being told. Called by flush. Pure.

An alert inhibits those of the rules that its rule names in `inhibits`, in the same place: each name in `same` (a level of
area, `subject`, `source` or a label) must have a value in both, and the same one. Levels come from the paths, so an alert
about a grid and one about its street are in the same street. `source_silent` inhibits absence alerts of its source or
street. An inhibitor that is silenced or inhibited itself inhibits all the same.

Rules that inhibit each other, directly or in a ring, would all be kept from being told: there only an alert that fired
earlier inhibits, so the first one of such a ring is always told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime

from citybrain.alert.notify.routes import value_of
from citybrain.city import Areas
from citybrain.rulebook.model import SOURCE_SILENT, Absence, RuleBook
from citybrain_schemas.alerts import Alert

_Values = tuple[str, ...]


def inhibiting_rules(book: RuleBook) -> list[str]:
    """The names of rules whose alerts may inhibit others."""
    return [SOURCE_SILENT, *(rule.name for rule in book.rules if rule.inhibits)]


class Inhibitors:
    """The alerts that fire now and may inhibit, indexed by what they inhibit."""

    def __init__(self, book: RuleBook, firing: Iterable[Alert], areas: Areas) -> None:
        self._areas = areas
        self._rings = _rings(book)
        self._absences = {rule.name for rule in book.rules if isinstance(rule, Absence)}
        self._sames: defaultdict[str, set[_Values]] = defaultdict(set)
        self._by_place: defaultdict[tuple[str, _Values, _Values], list[Alert]] = defaultdict(list)
        self._silent: dict[str, Alert] = {}  # by source, or by the code of a street
        inhibits = {rule.name: rule.inhibits for rule in book.rules}
        for alert in firing:
            if alert.rule == SOURCE_SILENT:
                self._silent[alert.area.code if alert.source is None else f"source:{alert.source}"] = alert
            for one in inhibits.get(alert.rule, ()):
                values = self._values(alert, one.same)
                if values is not None:
                    self._sames[one.rule].add(one.same)
                    self._by_place[one.rule, one.same, values].append(alert)

    def of(self, alert: Alert) -> Alert | None:
        """An alert that inhibits this one."""
        if alert.rule in self._absences and (silent := self._silence_around(alert)) is not None:
            return silent
        for same in sorted(self._sames.get(alert.rule, ())):
            values = self._values(alert, same)
            if values is None:
                continue
            for one in self._by_place.get((alert.rule, same, values), ()):
                if one.id != alert.id and ((one.rule, alert.rule) not in self._rings or _fired(one) < _fired(alert)):
                    return one
        return None

    def _silence_around(self, alert: Alert) -> Alert | None:
        found = self._silent.get(f"source:{alert.source}") if alert.source is not None else None
        return found or next((self._silent[code] for code in alert.area.path if code in self._silent), None)

    def _values(self, alert: Alert, same: Collection[str]) -> _Values | None:
        found = tuple(value_of(alert, name, self._areas) or "" for name in same)
        return found if all(found) else None


def _fired(alert: Alert) -> tuple[datetime, str]:
    return alert.fired_at or alert.started_at, alert.id


def _rings(book: RuleBook) -> set[tuple[str, str]]:
    """The pairs (inhibitor, inhibited) where the inhibited one inhibits the inhibitor in turn, itself or by way of others."""
    direct = {rule.name: {one.rule for one in rule.inhibits} for rule in book.rules}
    reached = {name: _reach(name, direct) for name in direct}
    return {(name, other) for name, others in direct.items() for other in others if name in reached.get(other, ())}


def _reach(name: str, direct: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    more = list(direct[name])
    while more:
        one = more.pop()
        if one not in found:
            found.add(one)
            more += direct.get(one, ())
    return found
