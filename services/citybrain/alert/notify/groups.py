"""One flush of a group: which webhooks it sends, and when it is to be looked at again. Called by flush. Pure.

A webhook tells of one kind of transition, so that a receiver knows by its type what to do with all alerts in it: in one
flush there may be one of those that began to fire, one of those that changed or go on, one of those that ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from citybrain.alert.notify.members import Hold, Judgement, Member, Outcome, as_firing, judge
from citybrain.alert.notify.routes import Plan
from citybrain_schemas.alerts import Alert
from citybrain_schemas.webhooks import AlertWebhookType

SHORTEST = timedelta(milliseconds=250)  # a group is not flushed again before


@dataclass(frozen=True, slots=True)
class Notice:
    """One webhook to be: of a kind, about alerts. `to` is None for the endpoints of the group."""

    type: AlertWebhookType
    alerts: Sequence[Alert]
    to: tuple[str, ...] | None = None


@dataclass(slots=True)
class Flush:
    """What a flush comes to."""

    notices: list[Notice] = field(default_factory=list)
    after: list[Member] = field(default_factory=list)
    left: list[UUID] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    reasons: dict[int, Mapping[str, object]] = field(default_factory=dict)
    kept: list[tuple[UUID, Hold]] = field(default_factory=list)
    escalated: dict[UUID, int] = field(default_factory=dict)
    firing: int = 0
    resolved: int = 0
    next_at: datetime | None = None


def concerned(members: Sequence[Member], plan: Plan, now: datetime) -> list[Member]:
    """Those that a flush has to look at: all when the route repeats, else those about which there is something to decide."""
    if repeats(members, plan, now):
        return list(members)
    return [
        one for one in members if one.intents or (not one.told and one.held is None) or _escalation_at(one, plan, now) is not None
    ]


def repeats(members: Iterable[Member], plan: Plan, now: datetime) -> bool:
    """Whether one of them was told so long ago that the group says again what still fires."""
    return any(one.told_at is not None and one.told_at + plan.repeat_interval <= now for one in members)


def flush(
    members: Sequence[Member],
    alerts: Mapping[UUID, Alert],
    plan: Plan,
    hold_of: Callable[[Alert], Hold | None],
    now: datetime,
) -> Flush:
    """Decide on every member of a group; `alerts` holds those of the concerned ones that still exist."""
    done = Flush()
    repeat = repeats(members, plan, now)
    told: dict[AlertWebhookType, list[Alert]] = {"alert.firing": [], "alert.updated": [], "alert.resolved": []}
    levels: dict[int, list[Alert]] = {}
    looked_at = {one.alert_id for one in concerned(members, plan, now)}
    for member in members:
        if member.alert_id not in looked_at:
            done.firing += member.told
            _remember(done, member, plan, now)
            continue
        alert = alerts.get(member.alert_id)
        hold = None if alert is None else hold_of(alert)
        judged = judge(member, alert, hold, now, repeat=repeat)
        _collect(done, member, judged, told)
        if judged.after is not None:
            after = judged.after
            if alert is not None and hold is None:
                after = _escalate(after, alert, plan, now, levels)
                if after.escalated > judged.after.escalated:
                    done.escalated[after.alert_id] = after.escalated
            done.firing += after.told
            done.after.append(after)
            _remember(done, after, plan, now)
    done.notices = [Notice(kind, alerts_of) for kind, alerts_of in told.items() if alerts_of]
    done.notices += [Notice("alert.escalated", levels[n], plan.escalate[n].to) for n in sorted(levels)]
    return done


def _collect(done: Flush, member: Member, judged: Judgement, told: dict[AlertWebhookType, list[Alert]]) -> None:
    done.outcomes |= judged.outcomes
    if judged.kept_by is not None:
        done.kept.append((member.alert_id, judged.kept_by))
        done.reasons |= {
            number: judged.kept_by.reason for number, what in judged.outcomes.items() if what == judged.kept_by.outcome
        }
    if judged.after is None:
        done.left.append(member.alert_id)
    if judged.firing is not None:
        told["alert.firing"].append(judged.firing)
    if judged.updated is not None:
        told["alert.updated"].append(judged.updated)
    if judged.resolved is not None:
        told["alert.resolved"].append(judged.resolved)
        done.resolved += 1


def _escalate(member: Member, alert: Alert, plan: Plan, now: datetime, levels: dict[int, list[Alert]]) -> Member:
    """Tell the next ones, too, when it was told long enough ago and nobody has taken it in hand."""
    while alert.handling.state == "open" and (at := _escalation_at(member, plan, now)) is not None and at <= now:
        levels.setdefault(member.escalated, []).append(as_firing(alert, alert.sequence))
        member = replace(member, escalated=member.escalated + 1)
    return member


def _escalation_at(member: Member, plan: Plan, until: datetime) -> datetime | None:
    """When the next level is due, if that is by a moment."""
    if not member.told or member.first_told_at is None or member.escalated >= len(plan.escalate):
        return None
    at = member.first_told_at + plan.escalate[member.escalated].after
    return at if at <= until else None


def _remember(done: Flush, member: Member, plan: Plan, now: datetime) -> None:
    """Look again when the member may have to be told again. What was due and not told waits for the next interval."""
    if not member.told or member.told_at is None:
        return
    times = [member.told_at + plan.repeat_interval]
    if member.first_told_at is not None and member.escalated < len(plan.escalate):
        times.append(member.first_told_at + plan.escalate[member.escalated].after)
    later = max(plan.repeat_interval, SHORTEST)
    at = min(one if one > now else now + later for one in times)
    done.next_at = at if done.next_at is None else min(done.next_at, at)
