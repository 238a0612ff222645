"""What becomes of alerts when another rule set is loaded. Called by alert.passes, before anything is evaluated by it.

A rule whose condition, window or `for` changed drops what is pending and keeps what fires, judged by the new definition from
now on. A rule that is gone ends its alerts. One that was renamed carries them over. All of it is logged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from citybrain.alert.lifecycle import Phase, begin, from_rows, is_quiet, state_at, to_rows
from citybrain.alert.outcome import moment_of
from citybrain.alert.record import Book, rises, summary_of, threshold_text
from citybrain.city import City
from citybrain.rulebook.model import SOURCE_SILENT, Absence, RuleBook, Threshold
from citybrain.store import alerts
from citybrain.store.alert_log import Entry
from citybrain.store.alerts import AlertRow, ScopeRow
from citybrain.store.pool import Connection

Any = Threshold | Absence


@dataclass(slots=True)
class Reload:
    """The difference of two books, by the names of rules in the new one (`removed`: in the old one)."""

    renamed: dict[str, str] = field(default_factory=dict)  # the old name to the new one
    removed: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    fresh: set[str] = field(default_factory=set)


def compare(before: RuleBook, after: RuleBook) -> Reload:
    """What is new, gone, renamed and changed. A rule that looks at something else altogether is another rule."""
    old, new = {rule.name: rule for rule in before.rules}, {rule.name: rule for rule in after.rules}
    found = Reload()
    for rule in after.rules:
        origin = rule.renamed_from
        name = origin if origin is not None and origin in old and origin not in new and rule.name not in old else rule.name
        if name not in old or _scope_of(old[name]) != _scope_of(rule):
            found.fresh.add(rule.name)
            continue
        if name != rule.name:
            found.renamed[name] = rule.name
        if _definition(old[name]) != _definition(rule):
            found.changed.add(rule.name)
    found.removed = {name for name in old if name not in found.renamed and (name not in new or name in found.fresh)}
    return found


def _scope_of(rule: Any) -> tuple[str, str, str]:
    """What decides which scopes there are."""
    return (type(rule).__name__, rule.metric if isinstance(rule, Threshold) else rule.of, rule.per)


def _definition(rule: Any) -> tuple[object, ...]:
    """What an alert is judged by."""
    if isinstance(rule, Absence):
        return (rule.longer_than,)
    return (rule.when.text, rule.clear.text if rule.clear else None, rule.window, rule.tumbling, rule.hold)


async def reload(connection: Connection, book: Book, changes: Reload, at: At) -> None:
    """Bring scopes and alerts to the new rules."""
    for name, new_name in changes.renamed.items():
        await alerts.rename_scopes(connection, name, new_name)
    await alerts.drop_rules(connection, changes.removed)
    await _restart(connection, changes.changed, at)
    rules = {rule.name: rule for rule in at.rules.rules}
    names = {*rules, *changes.renamed, *changes.removed}
    has_absence = any(isinstance(rule, Absence) for rule in rules.values())
    if not has_absence:
        names.add(SOURCE_SILENT)
        await alerts.drop_rules(connection, [SOURCE_SILENT])
    for row in await alerts.open_alerts(connection, names):
        name = changes.renamed.get(row.rule, row.rule)
        if row.rule in changes.removed or name not in rules:
            _end(book, row, at)
        else:
            _carry(book, row, rules[name], changes, at)


@dataclass(frozen=True, slots=True)
class At:
    """When, at which final tick, and by which rules."""

    city: City
    rules: RuleBook
    version: int
    final: int
    now: datetime


async def _restart(connection: Connection, names: Iterable[str], at: At) -> None:
    """Scopes of changed rules: what fires goes on from the last final tick, the rest begins anew."""
    puts: list[ScopeRow] = []
    drops: list[tuple[str, str]] = []
    for row in await alerts.scopes(connection, list(names)):
        history = from_rows(msgspec.json.decode(row.history))
        state = state_at(history, max(at.final, history[0].tick))
        kept = begin(at.final, state)
        if state.phase in (Phase.FIRING, Phase.RECOVERING) and not is_quiet(kept):
            puts.append(ScopeRow(row.rule, row.scope, msgspec.json.encode(to_rows(kept)).decode(), None))
        else:
            drops.append((row.rule, row.scope))
    await alerts.put_scopes(connection, puts)
    await alerts.drop_scopes(connection, drops)


def _end(book: Book, row: AlertRow, at: At) -> None:
    """The rule is gone: so is its alert."""
    if row.fired_at is None:
        book.forgotten.append(row.alert_id)
        return
    if row.ended_at is not None:
        book.changed[row.alert_id] = replace(row, provisional=False, changed_at=at.now)
        return
    tick = max(moment_of(at.final), row.fired_at)
    book.changed[row.alert_id] = replace(
        row, state="resolved", provisional=False, ended_at=tick, since=tick, changed_at=at.now, rule_version=at.version
    )
    book.log(Entry(row.alert_id, at.now, "rule_removed", tick, detail={"rule_version": at.version}), "resolved")


def _carry(book: Book, row: AlertRow, rule: Any, changes: Reload, at: At) -> None:
    """The alert goes on under the rule as it is now."""
    if rule.name in changes.changed and row.fired_at is None:
        book.forgotten.append(row.alert_id)
        return
    told = row.ended_at is None
    after = replace(row, rule=rule.name, rule_version=at.version)
    if told:
        after = replace(
            after,
            severity=rule.severity,
            labels=dict(rule.labels),
            title={"en": rule.title.en, "zh": rule.title.zh},
            threshold=threshold_text(rule),
        )
        after.summary = summary_of(at.city, rule, after)
    if replace(after, rule_version=row.rule_version) != row or rule.name in changes.changed:
        _log(book, row, after, rule.name in changes.changed, at)


def _log(book: Book, row: AlertRow, after: AlertRow, changed: bool, at: At) -> None:
    after = replace(after, changed_at=at.now)
    tells: list[str] = []
    if rises(row.severity, after.severity) and row.ended_at is None:
        after = replace(after, handling="open", handled_by=None, handled_until=None)
        tells = ["updated"] if row.fired_at is not None else []
    book.changed[row.alert_id] = after
    if changed or row.rule != after.rule or row.severity != after.severity:
        detail: Mapping[str, object] = {
            "rule_version": at.version,
            "threshold": after.threshold,
            **({"rule": row.rule} if row.rule != after.rule else {}),
            **({"severity": row.severity} if row.severity != after.severity else {}),
        }
        book.log(Entry(row.alert_id, at.now, "rule_changed", moment_of(at.final), detail=detail), *tells)
