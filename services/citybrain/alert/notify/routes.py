"""Which routes an alert takes, and so which groups it is told in. Called by flush. Pure.

Routes are tried in order; the first match wins unless it says `continue: true`. Without a match the alert goes to the
endpoints marked `default`, in groups of one rule.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from citybrain.city import Areas
from citybrain.rulebook.model import Escalation, Route
from citybrain.rulebook.routes import GROUP_BY, GROUP_INTERVAL, GROUP_WAIT, REPEAT_INTERVAL
from citybrain_schemas.alerts import Alert

DEFAULT_ROUTE = -1
_LONGEST_KEY = 600


@dataclass(frozen=True, slots=True)
class Plan:
    """What a group needs to know of its route. `to` is None for the endpoints marked default."""

    to: tuple[str, ...] | None
    group_wait: timedelta
    group_interval: timedelta
    repeat_interval: timedelta
    escalate: tuple[Escalation, ...] = ()

    def as_json(self) -> dict[str, object]:
        """As the table of groups keeps it."""
        return {
            "to": self.to,
            "group_interval_s": self.group_interval.total_seconds(),
            "repeat_interval_s": self.repeat_interval.total_seconds(),
            "escalate": [{"after_s": one.after.total_seconds(), "to": one.to} for one in self.escalate],
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Plan:
        """The same back; the wait is over by then."""
        return cls(
            None if kept["to"] is None else tuple(kept["to"]),
            timedelta(),
            timedelta(seconds=kept["group_interval_s"]),
            timedelta(seconds=kept["repeat_interval_s"]),
            tuple(Escalation(timedelta(seconds=one["after_s"]), tuple(one["to"])) for one in kept["escalate"]),
        )


DEFAULT_PLAN = Plan(None, GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL)  # what a route has that says nothing


@dataclass(frozen=True, slots=True)
class GroupOf:
    """A group that an alert belongs to. Equal keys: the same route and the same values of its `group_by`."""

    key: str
    route: int
    labels: Mapping[str, str]
    plan: Plan


def matches(match: Mapping[str, str], alert: Alert) -> bool:
    """Whether all of `match` is so: over rule, subject, severity, area (it or any above it) and labels."""
    return all(_is(alert, name, wanted) for name, wanted in match.items())


def _is(alert: Alert, name: str, wanted: str) -> bool:
    match name:
        case "rule":
            return alert.rule == wanted
        case "subject":
            return alert.subject == wanted
        case "severity":
            return alert.severity == wanted
        case "area":
            return wanted in alert.area.path
        case _:
            return alert.labels.get(name) == wanted


def places(alert: Alert, areas: Areas) -> dict[str, str]:
    """The codes of an alert's path by level: the street that its grid is in, and so on."""
    return {areas.level(code): code for code in alert.area.path if areas.known(code)}


def value_of(alert: Alert, name: str, areas: Areas) -> str | None:
    """What an alert has under a name of `group_by` or `same`: a level of area, rule, subject, severity, source or a label."""
    match name:
        case "rule":
            return alert.rule
        case "subject":
            return alert.subject
        case "severity":
            return alert.severity
        case "source":
            return alert.source
        case "area":
            return alert.area.code
        case _:
            found = places(alert, areas).get(name)
            return alert.labels.get(name) if found is None else found


def groups_of(alert: Alert, routes: Sequence[Route], areas: Areas, *, defaults: bool) -> list[GroupOf]:
    """The groups in which an alert is told; none when nothing matches and no endpoint is marked default."""
    found = {group.key: group for group in _matching(alert, routes, areas)}
    if not found and defaults:
        labels = _labels(alert, GROUP_BY, areas)
        return [GroupOf(_key("default", labels), DEFAULT_ROUTE, labels, DEFAULT_PLAN)]
    return list(found.values())


def _matching(alert: Alert, routes: Sequence[Route], areas: Areas) -> Iterator[GroupOf]:
    for number, route in enumerate(routes):
        if not matches(route.match, alert):
            continue
        labels = _labels(alert, route.group_by, areas)
        plan = Plan(route.to, route.group_wait, route.group_interval, route.repeat_interval, route.escalate)
        yield GroupOf(_key(_digest(route), labels), number, labels, plan)
        if not route.proceed:
            return


def _labels(alert: Alert, group_by: Sequence[str], areas: Areas) -> dict[str, str]:
    return {name: value_of(alert, name, areas) or "" for name in group_by}


def _digest(route: Route) -> str:
    """A short name for what makes a route this one: a reload that only moves it leaves its groups alone."""
    content = json.dumps([sorted(route.match.items()), route.to, route.group_by], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def _key(route: str, labels: Mapping[str, str]) -> str:
    text = json.dumps(labels, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > _LONGEST_KEY:  # an index of the database holds no more
        text = hashlib.sha256(text.encode()).hexdigest()
    return f"{route}:{text}"
