"""The body of a webhook in the format `citybrain`. Made by alert (and, to try an endpoint, by api), sent by deliver.

One webhook tells of one kind of transition: all of `data.alerts` have begun to fire (`alert.firing`), have ended
(`alert.resolved`), still fire or changed (`alert.updated`), or were acknowledged by nobody for too long
(`alert.escalated`). A group in which several things happened at once gets a webhook for each kind.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from citybrain_schemas.alerts import SEVERITIES, Alert
from citybrain_schemas.topics import Instant

AlertWebhookType = Literal["alert.firing", "alert.updated", "alert.resolved", "alert.escalated"]
TEST_TYPE = "endpoint.test"
HEARTBEAT_WEBHOOK_TYPE = "heartbeat"
MAX_ALERTS = 50


class _Word(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Group(_Word):
    """Alerts that are told together: how many of them fire now, and how many have ended since the group last told."""

    key: str
    labels: dict[str, str]
    firing: int
    resolved: int


class AlertData(_Word):
    """`alert` is the first, and so the most severe, of `alerts`."""

    alert: Alert
    alerts: Annotated[list[Alert], Field(min_length=1, max_length=MAX_ALERTS, description="the most severe first")]
    truncated: Annotated[int, Field(ge=0, description="how many more there are than are listed")] = 0
    group: Group


class AlertWebhook(_Word):
    """What receivers of alerts get."""

    type: AlertWebhookType
    timestamp: Instant
    data: AlertData


class EndpointTest(_Word):
    """Which endpoint is tried."""

    endpoint: str


class TestWebhook(_Word):
    """What `POST /v1/endpoints/{id}/test` sends."""

    __test__ = False  # not pytest's

    type: Literal["endpoint.test"] = "endpoint.test"
    timestamp: Instant
    data: EndpointTest


class HeartbeatData(_Word):
    """The final tick up to which everything was judged."""

    through: Instant


class HeartbeatWebhook(_Word):
    """What endpoints that are marked for it get once a minute, as long as every stage works: for a dead man's switch."""

    type: Literal["heartbeat"] = "heartbeat"
    timestamp: Instant
    data: HeartbeatData


def most_severe_first(alerts: list[Alert]) -> list[Alert]:
    """In the order of `data.alerts`: by severity, then those that began last, then by id."""
    ordered = sorted(alerts, key=lambda one: one.id)
    ordered.sort(key=lambda one: one.started_at, reverse=True)
    ordered.sort(key=lambda one: SEVERITIES.index(one.severity), reverse=True)
    return ordered
