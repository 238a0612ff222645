"""Notification over a real database, with alerts that tests write themselves in place of the alert worker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from citybrain.alert.notify.flush import Flusher
from citybrain.city.literals import Name
from citybrain.rulebook.model import Absence, Escalation, Inhibition, LoadedRules, Route, RuleBook
from citybrain.store.alert_log import Entry, append
from citybrain.store.pool import Pool, open_pool
from citybrain.telemetry import Metrics
from citybrain_schemas.webhooks import AlertWebhook
from small_city import LEFT, RIGHT, small_city

BEGIN = datetime(2026, 11, 23, 0, 15, tzinfo=UTC)
BASE = "https://city.example"


def route(to: Sequence[str] = ("duty",), **changed: Any) -> Route:
    """Everything to `duty`, one group a rule and grid, at once."""
    values: dict[str, Any] = {
        "match": {},
        "to": tuple(to),
        "group_by": ("rule", "grid"),
        "group_wait": timedelta(),
        "group_interval": timedelta(seconds=1),
        "repeat_interval": timedelta(hours=4),
        "proceed": False,
        "escalate": (),
        "file": "rules/test.yaml",
        "line": 1,
    }
    return Route(**(values | changed))


def escalation(after: timedelta, *to: str) -> Escalation:
    return Escalation(after, to)


def rule(name: str, inhibits: Mapping[str, Sequence[str]] | None = None) -> Absence:
    """A rule; notification looks at its name, kind and what it inhibits alone."""
    return Absence(
        name=name,
        title=Name(name, name),
        per="subject",
        severity="warning",
        labels={},
        annotations={},
        hold=timedelta(),
        keep_firing_for=timedelta(),
        lateness=None,
        early=False,
        inhibits=tuple(Inhibition(other, tuple(same)) for other, same in (inhibits or {}).items()),
        renamed_from=None,
        file="rules/test.yaml",
        line=1,
        of="utility.reading",
        longer_than=timedelta(minutes=30),
    )


def write_path(code: str) -> list[str]:
    return [code, *(code[:length] for length in (15, 12, 9, 6) if length < len(code))]


@dataclass
class Notifying:
    """The loop, its clock, and the alerts."""

    pool: Pool
    rules: LoadedRules
    metrics: Metrics = field(default_factory=Metrics)
    now: datetime = BEGIN
    told: list[datetime] = field(default_factory=list)

    def flusher(self, pool: Any = None, owner: UUID | None = None) -> Flusher:
        """A process; all but the first need an owner of their own."""
        city = small_city()
        return Flusher(
            pool or self.pool,
            lambda: self.rules,
            lambda: city,
            self.metrics,
            lambda: self.now,
            BASE,
            lambda: self.told.append(self.now),
            owner or UUID(int=1),
        )

    async def step(self, after: timedelta = timedelta(), flusher: Flusher | None = None) -> None:
        """Let time pass, then work until there is nothing to do."""
        self.now += after
        loop = flusher or self.flusher()
        while await loop.step():
            pass

    async def endpoint(self, name: str = "duty", *, default: bool = False) -> UUID:
        identity = uuid4()
        await self.pool.execute(
            "insert into endpoint (endpoint_id, name, url, format, is_default, made_by)"
            " values ($1, $2, $3, 'citybrain', $4, 'test')",
            identity, name, f"https://{name}.example", default,
        )  # fmt: skip
        return identity

    async def fire(self, subject: str | None = "lot-1", rule: str = "lot_full", area: str = LEFT, **changed: Any) -> UUID:
        """A new alert that fires, with its intent, as the worker writes them."""
        row: dict[str, Any] = {
            "alert_id": uuid4(),
            "rule": rule,
            "scope": f"subject:{subject}" if subject else f"area:{area}",
            "rule_version": 1,
            "severity": "warning",
            "state": "firing",
            "area": area,
            "path": write_path(area),
            "subject": subject,
            "labels": json.dumps({"team": "traffic"}),
            "title": json.dumps({"en": "Full", "zh": "满"}),
            "summary": json.dumps({"en": f"{subject} is full", "zh": "满"}),
            "threshold": "last >= 0.95",
            "value": json.dumps({"last": 0.97, "count": 1}),
            "evidence": json.dumps(
                {"window": {"start": "2026-11-23T00:14:00Z", "end": "2026-11-23T00:15:00Z"}, "events": ["e1"]}
            ),
            "started_at": self.now,
            "fired_at": self.now,
            "opened_at": self.now,
            "changed_at": self.now,
        } | changed
        names = ", ".join(row)
        values = ", ".join(f"${n + 1}" for n in range(len(row)))
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"insert into alert ({names}) values ({values})", *row.values())
            await self._intend(connection, row["alert_id"], "firing")
        return row["alert_id"]

    async def end(self, alert_id: UUID, state: str = "resolved") -> None:
        """The end of an alert, with its intent."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("update alert set state = $2, ended_at = $3 where alert_id = $1", alert_id, state, self.now)
            await self._intend(connection, alert_id, "resolved", state)

    async def update(self, alert_id: UUID, **changed: Any) -> None:
        """A change that people should hear of."""
        async with self.pool.acquire() as connection, connection.transaction():
            for name, value in changed.items():
                await connection.execute(f"update alert set {name} = $2 where alert_id = $1", alert_id, value)
            await self._intend(connection, alert_id, "updated")

    async def _intend(self, connection: Any, alert_id: UUID, kind: str, log: str | None = None) -> None:
        (sequence,) = await append(connection, [Entry(alert_id, self.now, log or kind, tick=self.now)])
        await connection.execute(
            "insert into intent (alert_id, kind, sequence, made_at) values ($1, $2, $3, $4)", alert_id, kind, sequence, self.now
        )

    async def silence(self, matchers: Mapping[str, str], hours: float = 1, *, until_resolved: bool = False) -> UUID:
        identity = uuid4()
        await self.pool.execute(
            "insert into silence (silence_id, matchers, begins, ends, until_resolved, made_by, why)"
            " values ($1, $2, $3, $4, $5, 'ann', 'works')",
            identity, json.dumps(matchers), self.now, self.now + timedelta(hours=hours), until_resolved,
        )  # fmt: skip
        return identity

    async def webhooks(self) -> list[AlertWebhook]:
        """Every webhook, in the order in which they were made."""
        rows = await self.pool.fetch("select body from delivery order by made_at, ctid")
        return [AlertWebhook.model_validate_json(row["body"]) for row in rows]

    async def notices(self) -> list[tuple[str, tuple[str | None, ...]]]:
        """(type, subjects) of every webhook."""
        return [(one.type, tuple(alert.subject for alert in one.data.alerts)) for one in await self.webhooks()]

    async def outcomes(self, alert_id: UUID | None = None) -> list[tuple[str, str | None]]:
        """(kind, outcome) of intents in their order."""
        rows = await self.pool.fetch(
            "select kind, outcome from intent where $1::uuid is null or alert_id = $1 order by intent_no", alert_id
        )
        return [(row["kind"], row["outcome"]) for row in rows]

    async def log(self, alert_id: UUID) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.pool.fetch("select kind, detail::text from alert_log where alert_id = $1 order by entry", alert_id)
        return [(row["kind"], json.loads(row["detail"])) for row in rows]


@asynccontextmanager
async def notifying(
    dsn: str, routes: Sequence[Route] | None = None, rules: Sequence[Absence] = (), endpoints: Sequence[str] = ("duty",)
) -> AsyncIterator[Notifying]:
    """With an endpoint `duty`."""
    async with open_pool(dsn, max_size=6) as pool:
        book = RuleBook(rules=tuple(rules), routes=tuple([route()] if routes is None else routes))
        made = Notifying(pool, LoadedRules(1, book))
        for name in endpoints:
            await made.endpoint(name)
        yield made


__all__ = ["BASE", "BEGIN", "LEFT", "RIGHT", "Notifying", "escalation", "notifying", "route", "rule", "write_path"]
