"""Which alerts and deliveries an event had a part in. Called by the route of one event.

An alert saw an event when its rule is about what the event says, in a place that holds it, in a window that holds its time.
Whether the alert names it, too, depends on how many events there were: an alert names the last twenty.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import aclosing
from functools import lru_cache
from typing import Any
from uuid import UUID

from citybrain.city import City
from citybrain.rulebook.model import Absence, RuleBook
from citybrain.rulebook.read import rule_book
from citybrain.store import alert_reads, deliveries, rule_sets
from citybrain.store.event_reads import EventRow
from citybrain.store.pool import Connection
from citybrain_schemas.alerts import Alert
from citybrain_schemas.instants import format_time

MOST_ALERTS, MOST_DELIVERIES = 100, 100


async def where_it_went(connection: Connection, city: City, event: EventRow, metrics: Collection[str]) -> dict[str, Any]:
    """`alerts` and `deliveries`."""
    areas = city.areas.path_at(event.area, event.time) if city.areas.known(event.area) else (event.area,)
    books: dict[int, RuleBook | None] = {}
    alerts: list[Alert] = []
    async with aclosing(alert_reads.about(connection, event, areas)) as candidates:
        async for version, alert in candidates:
            if version not in books:
                books[version] = await _book(connection, version)
            if _is_about(books[version], alert.rule, event.type, metrics):
                alerts.append(alert)
            if len(alerts) == MOST_ALERTS:
                break
    sent = await deliveries.of_alerts(connection, [UUID(one.id) for one in alerts], MOST_DELIVERIES) if alerts else []
    return {
        "alerts": [
            {
                "id": one.id,
                "rule": one.rule,
                "state": one.state,
                "severity": one.severity,
                "started_at": format_time(one.started_at),
                "named": one.evidence.names(event.id, event.source),
            }
            for one in alerts
        ],
        "deliveries": [
            {
                "id": str(one.delivery_id),
                "webhook_id": one.webhook_id,
                "endpoint": one.endpoint,
                "type": one.type,
                "state": one.state,
                "made_at": format_time(one.made_at),
            }
            for one in sent
        ],
    }


def _is_about(book: RuleBook | None, name: str, kind: str, metrics: Collection[str]) -> bool:
    rule = next((one for one in book.rules if one.name == name), None) if book is not None else None
    if rule is None:
        return False
    return rule.of == kind if isinstance(rule, Absence) else rule.metric in metrics


async def _book(connection: Connection, version: int) -> RuleBook | None:
    found = await rule_sets.of_version(connection, version)
    return None if found is None else _read(found.sha256, tuple(found.files.items()))


@lru_cache(maxsize=16)
def _read(_: bytes, files: tuple[tuple[str, bytes], ...]) -> RuleBook:
    return rule_book(dict(files))
