"""New intents go to the groups that their alerts are told in. Called by flush, in its transaction.

An intent `firing` goes where the routes of now lead, and where its alert is already; an end only to groups that have the
alert, whatever the routes say by now. What leads nowhere is decided here, with its reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from citybrain.alert.notify.circumstances import Circumstances
from citybrain.alert.notify.routes import GroupOf, groups_of
from citybrain.city import Areas
from citybrain.rulebook.model import RuleBook
from citybrain.store import alert_log, alert_reads, notifications
from citybrain.store.alert_log import Entry
from citybrain.store.notifications import Decided, GroupRow, IntentRow
from citybrain.store.pool import Connection
from citybrain_schemas.alerts import Alert

_NO_ROUTE: Mapping[str, object] = {"why": "no route matches, and no endpoint is marked default"}
_UNTOLD: Mapping[str, object] = {"why": "its firing was not told"}
_GONE: Mapping[str, object] = {"why": "the alert is gone"}


@dataclass(slots=True)
class Taken:
    """What became of a batch of intents, before it is written."""

    groups: dict[str, GroupOf] = field(default_factory=dict)
    hurried: set[str] = field(default_factory=set)
    given: list[tuple[str, UUID, int]] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    log: list[UUID] = field(default_factory=list)
    ended: list[Alert] = field(default_factory=list)
    count: int = 0


async def take(connection: Connection, rules: tuple[RuleBook, int], areas: Areas, around: Circumstances, limit: int) -> Taken:
    """Route at most `limit` intents; `rules` are the book and its version."""
    intents = await notifications.take_intents(connection, limit)
    taken = Taken(count=len(intents))
    if not intents:
        return taken
    ids = {one.alert_id for one in intents}
    alerts = await alert_reads.by_id(connection, ids)
    inside: defaultdict[UUID, set[str]] = defaultdict(set)
    for key, alert_id in await notifications.memberships(connection, ids):
        inside[alert_id].add(key)
    defaults = any(one.is_default for one in around.endpoints)
    for intent in intents:
        alert = alerts.get(intent.alert_id)
        routed = [] if alert is None else groups_of(alert, rules[0].routes, areas, defaults=defaults)
        _give(taken, intent, alert, routed, inside[intent.alert_id])
    await _write(connection, taken, rules[1], [one.number for one in intents], around.now)
    return taken


def _give(taken: Taken, intent: IntentRow, alert: Alert | None, routed: list[GroupOf], inside: set[str]) -> None:
    """Give one intent to its groups, or decide it at once."""
    if alert is None:
        taken.decided.append(Decided(intent.number, "superseded", _GONE))
        return
    if intent.kind == "resolved":
        taken.ended.append(alert)
    fires = intent.kind == "firing" or (intent.kind != "resolved" and alert.state in {"firing", "recovering"})
    if fires:
        taken.groups |= {one.key: one for one in routed}
        inside |= {one.key for one in routed}
    if inside:
        taken.given += [(key, intent.alert_id, intent.number) for key in sorted(inside)]
        taken.hurried |= inside
    elif routed:
        taken.decided.append(Decided(intent.number, "superseded", _UNTOLD))
    else:
        taken.decided.append(Decided(intent.number, "no_route", _NO_ROUTE))
        if fires:
            taken.log.append(intent.alert_id)


async def _write(connection: Connection, taken: Taken, version: int, numbers: list[int], now: datetime) -> None:
    groups = [
        GroupRow(one.key, version, one.route, one.labels, one.plan.as_json(), now + one.plan.group_wait)
        for one in taken.groups.values()
    ]
    await notifications.put_groups(connection, groups, now)
    await notifications.hurry_groups(connection, taken.hurried - taken.groups.keys(), now)
    await notifications.put_intents(connection, taken.given)
    await notifications.routed(connection, numbers, now)
    await notifications.decide(connection, taken.decided, now)
    detail = {"outcome": "no_route"} | dict(_NO_ROUTE)
    await alert_log.append(connection, [Entry(one, now, "not_notified", detail=detail) for one in taken.log])
