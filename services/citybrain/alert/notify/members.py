"""What a group tells of one of its alerts, and what becomes of the alert's intents. Called by groups. Pure and total.

Decided by the intents in their order, not by the alert's row, which may be ahead of them: the last `firing` or `resolved`
says whether the alert fires. Four cases, by whether it was told in this group and whether it ends:

* not told, fires: told now; or held, with the reason recorded, until nothing holds it any more.
* not told, ends: both its firing and its end are told; unless it was held or retracted: then nothing is, and is recorded.
* told, fires: told again (`updated`) when something is new or the route repeats; unless held or in somebody's hands.
* told, ends: its end is told, whatever holds it by now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from citybrain_schemas.alerts import Alert

Outcome = Literal["sent", "silenced", "inhibited", "muted", "no_route", "superseded"]
Kind = Literal["firing", "updated", "resolved", "escalated"]


class Intent(NamedTuple):
    """A transition that somebody may want to hear of; `sequence` is that of the alert's log then."""

    number: int
    kind: Kind
    sequence: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Why an alert is not told now."""

    outcome: Outcome
    reason: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Member:
    """Where a group stands with one alert, and the intents that it has not dealt with yet."""

    alert_id: UUID
    told: bool = False
    intents: tuple[Intent, ...] = ()
    held: str | None = None
    waits_with: int | None = None  # the intent of the firing that was held; it stays when it is held no longer
    told_at: datetime | None = None
    first_told_at: datetime | None = None
    escalated: int = 0


@dataclass(slots=True)
class Judgement:
    """What is told of the alert, what becomes of its intents, and the member as it is afterwards: None when it leaves."""

    after: Member | None
    firing: Alert | None = None
    updated: Alert | None = None
    resolved: Alert | None = None
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    kept_by: Hold | None = None  # why something that is new was not told: to be logged


def judge(member: Member, alert: Alert | None, hold: Hold | None, now: datetime, *, repeat: bool = False) -> Judgement:
    """Decide on one alert. `alert` is None when it is gone; `repeat`: the route's interval has passed."""
    if alert is None:
        return Judgement(None, outcomes=_all(member.intents, "superseded"))
    ends = _ends(member, alert, repeat=repeat)
    match (member.told, ends):
        case (False, False):
            return _begin(member, alert, hold, now)
        case (False, True):
            return _begin_and_end(member, alert, hold)
        case (True, False):
            return _go_on(member, alert, hold, now, repeat=repeat)
        case _:
            return _end(member, alert)


def _ends(member: Member, alert: Alert, *, repeat: bool) -> bool:
    """By the last intent of the two kinds; without one an alert that was told goes on, until it is looked at for a repeat."""
    last = next((one.kind for one in reversed(member.intents) if one.kind in {"firing", "resolved"}), None)
    if last is None:
        return repeat and alert.state in {"resolved", "retracted"}
    return last == "resolved"


def _begin(member: Member, alert: Alert, hold: Hold | None, now: datetime) -> Judgement:
    fresh = member.intents
    if alert.state == "retracted":
        return Judgement(None, outcomes=_all(fresh, "superseded"))
    first = next((one for one in fresh if one.kind == "firing"), None)
    if hold is not None:
        waits_with = member.waits_with if first is None else first.number
        after = replace(member, intents=(), held=hold.outcome, waits_with=waits_with or -1)
        news = bool(fresh) or member.held != hold.outcome
        return Judgement(after, outcomes=_all(fresh, hold.outcome), kept_by=hold if news else None)
    outcomes = _all(fresh, "sent")
    if member.waits_with is not None and member.waits_with > 0:
        outcomes[member.waits_with] = "sent"
    after = Member(member.alert_id, told=True, told_at=now, first_told_at=now, escalated=member.escalated)
    sequence = alert.sequence if first is None or member.waits_with is not None else first.sequence
    return Judgement(after, firing=as_firing(alert, sequence), outcomes=outcomes)


def _begin_and_end(member: Member, alert: Alert, hold: Hold | None) -> Judgement:
    firing = [one for one in member.intents if one.kind == "firing"]
    if member.waits_with is not None or alert.state == "retracted" or not firing:
        return Judgement(None, outcomes=_all(member.intents, "superseded"))
    if hold is not None:
        outcomes = _all(member.intents, "superseded") | _all(firing, hold.outcome)
        return Judgement(None, outcomes=outcomes, kept_by=hold)
    last = member.intents[-1]
    told = as_firing(alert, firing[0].sequence)
    return Judgement(None, firing=told, resolved=as_ended(alert, last.sequence), outcomes=_all(member.intents, "sent"))


def _go_on(member: Member, alert: Alert, hold: Hold | None, now: datetime, *, repeat: bool) -> Judgement:
    updates = [one for one in member.intents if one.kind == "updated"]
    outcomes = _all(member.intents, "superseded")  # what ended and fired again in the meantime
    after = replace(member, intents=())
    if hold is not None:
        return Judgement(after, outcomes=outcomes | _all(updates, hold.outcome), kept_by=hold if updates else None)
    if updates or (repeat and alert.handling.state == "open"):
        after = replace(after, told_at=now)
        return Judgement(after, updated=as_firing(alert, alert.sequence), outcomes=outcomes | _all(updates, "sent"))
    return Judgement(after, outcomes=outcomes)


def _end(member: Member, alert: Alert) -> Judgement:
    ends = [one for one in member.intents if one.kind == "resolved"][-1:]
    sequence = ends[0].sequence if ends else alert.sequence
    outcomes = _all(member.intents, "superseded") | _all(ends, "sent")
    return Judgement(None, resolved=as_ended(alert, sequence), outcomes=outcomes)


def as_firing(alert: Alert, sequence: int) -> Alert:
    """The alert as it was while it fired; its row may say by now that it has ended."""
    state = alert.state if alert.state in {"firing", "recovering"} else "firing"
    return alert.model_copy(update={"state": state, "ended_at": None, "sequence": sequence})


def as_ended(alert: Alert, sequence: int) -> Alert:
    """The alert as it ended; its row may say by now that it fires again."""
    state = alert.state if alert.state in {"resolved", "retracted"} else "resolved"
    return alert.model_copy(update={"state": state, "sequence": sequence})


def _all(intents: Iterable[Intent], outcome: Outcome) -> dict[int, Outcome]:
    return {one.number: outcome for one in intents}
