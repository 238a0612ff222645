"""What may keep alerts from being told now: silences, inhibitors, endpoints. Read by flush at the beginning of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from citybrain.alert.notify.inhibit import Inhibitors, inhibiting_rules
from citybrain.alert.notify.members import Hold
from citybrain.alert.notify.silences import silence_of
from citybrain.city import Areas
from citybrain.rulebook.model import RuleBook
from citybrain.store import alert_reads, notifications, silences
from citybrain.store.notifications import EndpointState
from citybrain.store.pool import Connection
from citybrain.store.silences import Silence
from citybrain_schemas.alerts import Alert


@dataclass(frozen=True, slots=True)
class Circumstances:
    """As of one moment. Two that are equal in `mark` hold the same alerts."""

    now: datetime
    silences: Sequence[Silence]
    inhibitors: Inhibitors
    endpoints: Sequence[EndpointState]
    mark: frozenset[str]

    def hold(self, alert: Alert, to: tuple[str, ...] | None) -> Hold | None:
        """Why an alert must not be told to these endpoints; None when it may."""
        if alert.handling.state == "closed":
            return Hold("muted", {"handling": "closed", "by": alert.handling.by})
        if (silence := silence_of(alert, self.silences, self.now)) is not None:
            return Hold("silenced", {"silence": str(silence.silence_id), "by": silence.made_by, "why": silence.why})
        if (inhibitor := self.inhibitors.of(alert)) is not None:
            return Hold("inhibited", {"alert": inhibitor.id, "rule": inhibitor.rule})
        reached, left_out = self.reach(to)
        return None if reached else Hold("no_route", {"endpoints": left_out})

    def reach(self, to: tuple[str, ...] | None) -> tuple[list[EndpointState], dict[str, str]]:
        """The endpoints that can be told, by name or (None) those marked default; and the others, with the reason."""
        wanted = [one for one in self.endpoints if (one.is_default if to is None else one.name in to)]
        left_out = {one.name: "disabled" for one in wanted if not one.works}
        known = {one.name for one in wanted}
        left_out |= {name: "unknown" for name in to or () if name not in known}
        return [one for one in wanted if one.works], left_out


async def circumstances(connection: Connection, book: RuleBook, areas: Areas, now: datetime) -> Circumstances:
    """Read what holds now."""
    silenced = await silences.active(connection, now)
    firing = await alert_reads.firing(connection, inhibiting_rules(book))
    endpoints = await notifications.endpoints(connection)
    marks = [*(str(one.silence_id) for one in silenced), *(one.id for one in firing)]
    marks += [str(one.endpoint_id) for one in endpoints if one.works]
    return Circumstances(now, silenced, Inhibitors(book, firing, areas), endpoints, frozenset(marks))
