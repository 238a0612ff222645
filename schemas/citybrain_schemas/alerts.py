"""An alert as the API answers it and webhooks carry it. Made by api and alert, read by receivers and deliver's formats.

Times are UTC with six decimals. Nothing in an alert is about a person: its figures, places, assets and texts come from rules.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from citybrain_schemas.topics import Instant

AlertState = Literal["pending", "firing", "recovering", "resolved", "retracted"]
Severity = Literal["info", "warning", "major", "critical"]
HandlingState = Literal["open", "acknowledged", "closed"]
ALERT_STATES: tuple[AlertState, ...] = get_args(AlertState)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # the least first


class _Word(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(_Word):
    """The area that an alert is about, and the codes of it and of all above it, the finest first."""

    code: str
    path: list[str]


class EvidenceWindow(_Word):
    """What the rule saw: [start, end) of event time."""

    start: Instant
    end: Instant


class Evidence(_Word):
    """Why it fired: the window, ids of events in it (the last ones, when there are many), and in the same order their sources.

    What fired before sources were kept has none.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    window: EvidenceWindow | None = None
    events: list[str] = []
    sources: list[str] = []

    def names(self, event: str, source: str) -> bool:
        """Whether an event is among them; where no sources are kept its id alone decides."""
        return (event, source) in zip(self.events, self.sources, strict=False) if self.sources else event in self.events


class Handling(_Word):
    """What people have done about it, who, and until when that holds."""

    state: HandlingState = "open"
    by: str | None = None
    until: Instant | None = None


class Links(_Word):
    """Where to read on. `acknowledge` is for POST with a key."""

    self: str
    acknowledge: str
    console: str

    @classmethod
    def of(cls, base: str, alert_id: str) -> Links:
        """The links of an alert of the city that is reached at `base`."""
        own = f"{base.rstrip('/')}/v1/alerts/{alert_id}"
        return cls(self=own, acknowledge=f"{own}/acknowledge", console=f"{base.rstrip('/')}/console#/alerts/{alert_id}")


class Alert(_Word):
    """One episode of a condition. `sequence` grows with each entry of its log; its id never changes."""

    id: str
    rule: str
    severity: Severity
    state: AlertState
    sequence: int
    provisional: Annotated[bool, Field(description="late data may still change it")]
    area: Place
    subject: str | None = None
    source: str | None = None
    labels: dict[str, str]
    title: dict[str, str]
    value: Annotated[dict[str, float | int | None], Field(description="columns of the window that fired")]
    threshold: str
    peak: float | int | None = None
    started_at: Annotated[Instant, Field(description="the tick at which the condition became true")]
    fired_at: Instant | None = None
    ended_at: Instant | None = None
    late_by_s: Annotated[int | None, Field(description="fired so many seconds after its tick, on data that came late")] = None
    summary: dict[str, str]
    evidence: Evidence = Evidence()
    handling: Handling = Handling()
    links: Links | None = None


class LogEntry(_Word):
    """One line of an alert's log. `tick` is that of a transition; `provisional` ones were true when written."""

    entry: int
    at: Instant
    kind: str
    tick: Instant | None = None
    provisional: bool = False
    by: str | None = None
    comment: str | None = None
    detail: dict[str, Any] = {}


class AlertWithLog(Alert):
    """`GET /v1/alerts/{id}`."""

    log: Annotated[list[LogEntry], Field(description="the first entry first; `notified` names its deliveries")] = []
