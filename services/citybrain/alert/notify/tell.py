"""Groups that are due become deliveries, or recorded reasons. Called by flush, in its transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast
from uuid import UUID, uuid4

from citybrain.alert.notify.circumstances import Circumstances
from citybrain.alert.notify.groups import Flush, Notice, concerned, flush
from citybrain.alert.notify.members import Intent, Kind, Member
from citybrain.alert.notify.message import body_of, group_of
from citybrain.alert.notify.routes import Plan
from citybrain.store import alert_log, alert_reads, notifications
from citybrain.store.alert_log import Entry
from citybrain.store.notifications import Decided, DueGroup, IntentRow, Key, MemberRow, NewDelivery
from citybrain.store.pool import Connection
from citybrain_schemas.webhooks import Group


@dataclass(slots=True)
class Told:
    """All that the flushes of one step come to, before it is written."""

    around: Circumstances
    links_base: str
    deliveries: list[NewDelivery] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    changed: list[MemberRow] = field(default_factory=list)
    gone: list[Key] = field(default_factory=list)
    log: list[Entry] = field(default_factory=list)
    escalated: list[tuple[UUID, int]] = field(default_factory=list)
    next_at: list[tuple[str, Any]] = field(default_factory=list)
    webhooks: Counter[str] = field(default_factory=Counter)


async def tell(connection: Connection, around: Circumstances, links_base: str, limit: int) -> Told:
    """Flush at most `limit` groups."""
    told = Told(around, links_base)
    groups = await notifications.due_groups(connection, around.now, limit)
    if not groups:
        return told
    members = await _members(connection, groups)
    plans = {one.key: Plan.of_json(one.plan) for one in groups}
    wanted = {one.alert_id for key, plan in plans.items() for one in concerned(members[key], plan, around.now)}
    alerts = await alert_reads.by_id(connection, wanted)
    for group in groups:
        plan = plans[group.key]
        done = flush(members[group.key], alerts, plan, partial(around.hold, to=plan.to), around.now)
        _collect(told, group, plan, done)
    await _write(connection, told, around)
    return told


async def _members(connection: Connection, groups: Iterable[DueGroup]) -> dict[str, list[Member]]:
    rows = await notifications.members(connection, [one.key for one in groups])
    intents = await notifications.intents(connection, {number for row in rows for number in row.intents})
    found: defaultdict[str, list[Member]] = defaultdict(list)
    for row in rows:
        found[row.group_key].append(_member(row, intents))
    return found


def _member(row: MemberRow, intents: Mapping[int, IntentRow]) -> Member:
    fresh = [intents[number] for number in sorted(row.intents) if number in intents]
    return Member(
        row.alert_id,
        told=row.state == "firing",
        intents=tuple(Intent(one.number, cast("Kind", one.kind), one.sequence) for one in fresh),
        held=row.held,
        waits_with=row.intent_no,
        told_at=row.told_at,
        first_told_at=row.first_told_at,
        escalated=row.escalated,
    )


def _collect(told: Told, group: DueGroup, plan: Plan, done: Flush) -> None:
    shown = group_of(group.key, group.labels, done.firing, done.resolved)
    unreached: Mapping[str, object] = {}
    for notice in done.notices:
        left_out = _send(told, shown, notice, plan.to if notice.to is None else notice.to)
        if left_out is not None and notice.to is None:
            unreached = {"endpoints": left_out}
    now = told.around.now
    told.log += [
        Entry(alert_id, now, "not_notified", detail={"outcome": hold.outcome, "group": group.key, **hold.reason})
        for alert_id, hold in done.kept
    ]
    for number, outcome in done.outcomes.items():
        lost = outcome == "sent" and bool(unreached)
        reason = unreached if lost else done.reasons.get(number, {})
        told.decided.append(Decided(number, "no_route" if lost else outcome, {"group": group.key, **reason}))
    told.changed += [_row(group.key, one) for one in done.after]
    told.gone += [(group.key, one) for one in done.left]
    told.escalated += list(done.escalated.items())
    told.next_at.append((group.key, done.next_at))


def _send(told: Told, group: Group, notice: Notice, to: tuple[str, ...] | None) -> dict[str, str] | None:
    """A delivery for each endpoint that can be reached; when there is none, why."""
    now = told.around.now
    reached, left_out = told.around.reach(to)
    body = body_of(notice.type, notice.alerts, group, now, told.links_base)
    ids = [one.id for one in notice.alerts]
    new = [NewDelivery(uuid4(), one.endpoint_id, notice.type, body, ids, group.key) for one in reached]
    told.deliveries += new
    told.webhooks[notice.type] += len(new)
    detail: dict[str, object] = {"type": notice.type, "group": group.key, "endpoints": [one.name for one in reached]}
    detail["deliveries"] = [str(one.delivery_id) for one in new]
    if left_out:
        detail["left_out"] = left_out
    kind = "not_notified" if not new else "escalated" if notice.type == "alert.escalated" else "notified"
    told.log += [Entry(UUID(one), now, kind, detail=detail) for one in ids]
    return None if reached else left_out


def _row(key: str, member: Member) -> MemberRow:
    return MemberRow(
        key,
        member.alert_id,
        "firing" if member.told else "waiting",
        [],
        member.waits_with,
        member.held,
        member.told_at,
        member.first_told_at,
        member.escalated,
    )


async def _write(connection: Connection, told: Told, around: Circumstances) -> None:
    await notifications.put_deliveries(connection, told.deliveries, around.now)
    await notifications.decide(connection, told.decided, around.now)
    await notifications.change_members(connection, told.changed, told.gone)
    await notifications.flushed(connection, told.next_at, around.now)
    numbers = await alert_log.append(connection, told.log)
    entries = zip(told.log, numbers, strict=True)
    escalations = [(entry.alert_id, number) for entry, number in entries if entry.kind == "escalated" and number]
    await notifications.put_told(connection, escalations, "escalated", around.now)
    await notifications.escalated(connection, told.escalated)
