"""The body of a webhook, made once: its bytes are what is signed and sent, however often. Called by flush. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from citybrain_schemas.alerts import Alert, Links
from citybrain_schemas.webhooks import MAX_ALERTS, AlertData, AlertWebhook, AlertWebhookType, Group, most_severe_first


def body_of(kind: AlertWebhookType, alerts: Sequence[Alert], group: Group, now: datetime, links_base: str) -> bytes:
    """At most fifty alerts, the most severe first; `truncated` says how many more there are."""
    listed = most_severe_first(list(alerts))[:MAX_ALERTS]
    linked = [one.model_copy(update={"links": Links.of(links_base, one.id)}) for one in listed]
    data = AlertData(alert=linked[0], alerts=linked, truncated=len(alerts) - len(linked), group=group)
    return AlertWebhook(type=kind, timestamp=now, data=data).model_dump_json().encode()


def group_of(key: str, labels: Mapping[str, str], firing: int, resolved: int) -> Group:
    """How it stands with the group after this flush."""
    return Group(key=key, labels=dict(labels), firing=firing, resolved=resolved)
