"""What a pass found out, between those who look (conditions, silence) and the one who writes (record). Pure data.

Ticks are minutes since 1970.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from secrets import randbits
from uuid import UUID

from citybrain.alert.episodes import Change, Row
from citybrain.alert.gaps import Gaps
from citybrain.alert.lifecycle import Phase
from citybrain.city import City
from citybrain.rulebook.model import Absence, Threshold
from citybrain.store.alerts import AlertRow
from citybrain.store.pool import Connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_MICROSECOND = timedelta(microseconds=1)


def moment_of(tick: int) -> datetime:
    """The instant of a tick."""
    return _EPOCH + tick * _MINUTE


def tick_of(moment: datetime) -> int:
    """The tick at or before an instant."""
    return (moment - _EPOCH) // _MINUTE


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def episode_ids(now: datetime) -> Iterator[UUID]:
    """Ids that are greater the later they are taken: version 7 of RFC 9562 with a time, a place in 32 bits, and chance."""
    prefix = (now - _EPOCH) // timedelta(milliseconds=1) << 80 | 7 << 76 | 2 << 62
    for place in count():
        yield UUID(int=prefix | (place >> 20) << 64 | (place & 0xFFFFF) << 42 | randbits(42))


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass: final ticks went from `before` to `final`; `version` is that of the rules. Early rules look on to
    `open_end`, the tick after the last minute with a row; to `final` while more ticks are final already. `ids` are those of the
    episodes that open, in their order."""

    connection: Connection
    city: City
    version: int
    now: datetime
    before: int
    final: int
    gaps: Gaps
    modes: Mapping[str, int]
    open_end: int
    ids: Iterator[UUID]


@dataclass(frozen=True, slots=True)
class Place:
    """What an alert is about. `area` is a code; `number` a series of the scope where there is one."""

    scope: str
    area: str
    subject: str | None = None
    source: str | None = None
    number: int | None = None


@dataclass(slots=True)
class Outcome:
    """What becomes of one alert. `row` None: a new one; `change` None: only its figures are told anew.

    `figures`: the columns of the window that fired, None where its tick was not looked at in this pass.
    `events`: (id, source) of the last ones in the window. `new_id`: that of an episode that opens.
    """

    rule: Threshold | Absence
    place: Place
    row: AlertRow | None
    change: Change | None
    figures: Mapping[str, object] | None = None
    window: tuple[datetime, datetime] | None = None
    events: list[tuple[str, str]] = field(default_factory=list)
    new_id: UUID | None = None


def as_row(alert: AlertRow) -> Row:
    """What reconciling needs of an alert."""
    fired = None if alert.fired_at is None else tick_of(alert.fired_at)
    started = tick_of(alert.started_at)
    since = tick_of(alert.since) if alert.since is not None else started
    ended = None if alert.ended_at is None else tick_of(alert.ended_at)
    peak = None if alert.peak is None else float(alert.peak)
    state = "resolved" if alert.state == "retracted" else alert.state
    return Row(alert.alert_id, state, started, fired, ended, since, peak, alert.provisional)  # type: ignore[arg-type]


PHASES = {"pending": Phase.PENDING, "firing": Phase.FIRING, "recovering": Phase.RECOVERING}
