"""Aggregate and rollup over a real database, driven step by step, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from citybrain.aggregate.rollup import Rollup
from citybrain.aggregate.worker import AggregateWorker
from citybrain.bus.port import Record
from citybrain.bus.postgres import PostgresBus, open_postgres_bus
from citybrain.city import City
from citybrain.store.pool import Pool, open_pool
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC
from records import heartbeat
from sharing import SharedRollup

_ROWS = """
select r.metric, r.area, r.subject, r.source, x.start, x.count, x.sum / 1000000 as sum, x.min / 1000000.0 as min,
       x.max / 1000000.0 as max, split_part(x.latest, e'\\x01', 4)::numeric / 1000000 as last, x.part, x.weight, x.subjects,
       x.revision, x.leaf, x.parent, x.series
  from {table} x join series r on r.series_no = x.series where x.count > 0 order by 1, 2, 3, 4, 5
"""


@dataclass
class Pipeline:
    """A city's aggregate role without its loops."""

    pool: Pool
    bus: PostgresBus
    worker: AggregateWorker
    rollup: Rollup | SharedRollup

    async def post(self, records: Sequence[Record]) -> None:
        await self.bus.append(EVENTS_TOPIC, records)

    async def beat(self, at: datetime) -> None:
        await self.bus.append_everywhere(EVENTS_TOPIC, heartbeat(at))

    async def drain(self) -> None:
        while await self.worker.step():
            pass
        while await self.rollup.step():
            pass

    async def rows(self, step: str, metric: str, area: str | None = None, leaf: bool | None = None) -> list[dict[str, Any]]:
        found = await self.pool.fetch(_ROWS.format(table=f"metric_window_{step}"))
        return [
            dict(row) for row in found if row["metric"] == metric and area in (None, row["area"]) and leaf in (None, row["leaf"])
        ]

    async def figures(self) -> tuple[int, ...]:
        row = await self.pool.fetchrow(
            "select sum(accepted), sum(stored), sum(repeated), sum(conflicts), sum(dead) from bus_position"
            " where role = 'aggregate'"
        )
        assert row is not None
        return tuple(int(value or 0) for value in row)


@asynccontextmanager
async def pipeline(dsn: str, city: City, partitions: int = 4) -> AsyncIterator[Pipeline]:
    """Everything behind ingest, on a fresh database."""
    metrics = Metrics()
    async with open_pool(dsn, max_size=6) as pool, open_postgres_bus(pool, metrics, partitions) as bus:
        worker = AggregateWorker(pool, bus, EVENTS_TOPIC, lambda: city, metrics)
        yield Pipeline(pool, bus, worker, Rollup(pool, lambda: city, metrics, owner=UUID(int=1)))
