"""Aggregate, rollup and alert over a real database, driven step by step, for tests of what becomes of alerts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from citybrain.aggregate.modes import metric_rows
from citybrain.alert.worker import AlertWorker
from citybrain.bus.port import Record
from citybrain.city import City
from citybrain.rulebook.model import LoadedRules
from citybrain.rulebook.read import rule_book
from citybrain.store.dictionary import put_metrics
from citybrain.store.pool import Pool
from citybrain.store.rule_sets import put_rule_set
from citybrain.telemetry import Metrics
from pipeline import Pipeline, pipeline
from records import T0, records, small_city

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FULL: dict[str, Any] = {
    "rule": "lot_full", "title": {"en": "Parking lot full", "zh": "停车场已满"}, "metric": "parking.occupied_ratio",
    "per": "subject", "window": "1m", "when": "last >= 0.95", "clear": "last < 0.85", "no_data": "keep", "severity": "warning",
    "labels": {"team": "traffic"}, "annotations": {"en": "{subject} is {last:.0%} full"},
}  # fmt: skip
HELD = FULL | {"when": "avg >= 0.95", "clear": "avg < 0.85", "for": "3m", "keep_firing_for": "3m"}
SILENT: dict[str, Any] = {
    "rule": "meter_silent", "title": {"en": "Meter silent", "zh": "表计失联"}, "kind": "absence", "of": "utility.reading",
    "per": "subject", "longer_than": "5m", "severity": "major",
}  # fmt: skip


def written(rules: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """Rules as a file."""
    return {"rules/test.yaml": json.dumps({"rules": list(rules)}).encode()}


@dataclass
class Alerting:
    """A city whose time is told by its heartbeats."""

    city: Pipeline
    worker: AlertWorker
    loaded: list[LoadedRules] = field(default_factory=list)
    now: datetime = T0

    @property
    def pool(self) -> Pool:
        return self.city.pool

    async def load(self, *rules: Mapping[str, Any]) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            version = await put_rule_set(connection, written(rules), "test")
        self.loaded[:] = [LoadedRules(version, rule_book(written(rules)))]

    async def post(self, *contents: dict[str, Any]) -> None:
        await self.city.post(records(contents))

    async def until(self, at: datetime) -> None:
        """Time goes on, the watermark half a minute behind: heartbeats are so near to each other that there is no gap."""
        while self.now < at:
            self.now = min(at, self.now + timedelta(seconds=12))
            await self.city.beat(self.now)

    async def work(self) -> None:
        """Until nobody has anything to do."""
        await self.city.drain()
        while await self.worker.step():
            pass

    async def alerts(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.pool.fetch("select * from alert order by started_at, scope, opened_at, alert_id")]

    async def states(self) -> list[tuple[str, str]]:
        return [(row["scope"].partition(":")[2], row["state"]) for row in await self.alerts()]

    async def log(self, *, settled: bool = False) -> list[tuple[str, str, datetime | None]]:
        rows = await self.pool.fetch(
            "select a.scope, l.kind, l.tick from alert_log l join alert a using (alert_id)"
            " where not ($1 and l.provisional) order by a.started_at, a.scope, a.opened_at, l.entry", settled
        )  # fmt: skip
        return [(row["scope"].partition(":")[2], row["kind"], row["tick"]) for row in rows]

    async def intents(self) -> list[tuple[str, str]]:
        rows = await self.pool.fetch("select a.scope, i.kind from intent i join alert a using (alert_id) order by i.intent_no")
        return [(row["scope"].partition(":")[2], row["kind"]) for row in rows]

    async def settled(self) -> list[tuple[Any, ...]]:
        """Settled episodes with all that is a function of the events, and their logs."""
        rows = await self.pool.fetch(
            "select rule, scope, started_at, fired_at, ended_at, peak, value::text as value, evidence::text as evidence, state,"
            " (select array_agg(l.kind || ' ' || l.tick::text order by l.entry) from alert_log l"
            "   where l.alert_id = a.alert_id and not l.provisional) as log"
            " from alert a where state <> 'retracted' and not provisional order by 1, 2, 3"
        )
        return [tuple(row) for row in rows]


def worker_of(pool: Any, city: City, loaded: list[LoadedRules], clock: Any, owner: int = 1) -> AlertWorker:
    return AlertWorker(pool, lambda: loaded[0], lambda: city, Metrics(), clock, UUID(int=owner))


@asynccontextmanager
async def alerting(dsn: str, *rules: Mapping[str, Any], **settings: Any) -> AsyncIterator[Alerting]:
    """A city with these rules on a fresh database; its time begins at T0."""
    city = small_city(**settings)
    async with pipeline(dsn, city) as running:
        await put_metrics(running.pool, metric_rows())
        loaded: list[LoadedRules] = []
        found = Alerting(running, worker_of(running.pool, city, loaded, lambda: found.now), loaded)
        await found.load(*rules)
        await running.beat(T0)
        await found.work()
        yield found


def at(minutes: float, seconds: float = 20) -> datetime:
    """So many minutes after T0, within the minute."""
    return T0 + timedelta(minutes=minutes, seconds=seconds)


def tick(minutes: int) -> datetime:
    """The tick so many minutes after T0."""
    return T0 + timedelta(minutes=minutes)


__all__ = ["FULL", "HELD", "SILENT", "Alerting", "Record", "alerting", "at", "tick", "worker_of", "written"]
