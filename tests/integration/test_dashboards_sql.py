"""The SQL of Grafana's dashboards on a city of a year: 500 assets that report every 30 minutes, 20 that do every minute.

Every query gives rows of its panel's shape, touches only the windows that it needs and no raw event, and is quick.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from city_dashboards.board import variable_sql
from city_dashboards.files import BOARDS
from city_dashboards.words import LANGUAGES

from citybrain.store.readers import add_reader, remove_reader
from citybrain.store.pool import open_pool
from dashboards import Asked, Shown, choices, documents, expand, panels, within
from postgres import Databases, fresh_database
from seeding import seed

DAYS = 365
RANGES_DAYS = (0.25, 1, 7, 30, DAYS)
P95_S = 0.2
SEED_S = 900
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True, slots=True)
class Seeded:
    """A session of a reader, as Grafana has one, and what people may choose."""

    connection: asyncpg.Connection[asyncpg.Record]
    chosen: tuple[dict[str, str], ...]

    def asked(self, days: float, place: int = 0) -> Asked:
        return within(Asked(END, END, self.chosen[place]), days)


@pytest.fixture(scope="module", loop_scope="module")
async def seeded(databases: Databases) -> AsyncIterator[Seeded]:
    async with fresh_database(databases) as dsn:
        begun = time.monotonic()
        await seed(dsn, END, DAYS)
        print(f"\nseeded {DAYS} days in {time.monotonic() - begun:.0f} s")
        role = f"reader_{uuid4().hex}"
        async with open_pool(dsn, max_size=1) as pool:
            await add_reader(pool, role, None if False else "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA")
        connection = await asyncpg.connect(dsn, timeout=10)
        place = await connection.fetchrow(
            "select g.code as grid, g.parent as community, c.parent as street, s.parent as district from v_asset a"
            " join v_area g on g.code = a.area join v_area c on c.code = g.parent join v_area s on s.code = c.parent"
            " where a.subject = 'pump-001'"
        )
        assert place is not None
        more = {"medium": "-", "subject": "pump-001", "metric": "water.pressure"}
        district, street, community, grid = (place[level] for level in ("district", "street", "community", "grid"))
        chosen = (
            choices("610600", **more),
            choices("610600", district, **more),
            choices("610600", district, street, **more),
            choices("610600", district, street, community, grid, **more),
        )
        await connection.execute(f"set session authorization {role}")
        yield Seeded(connection, chosen)
        await connection.close()
        async with open_pool(dsn, max_size=1) as pool:
            await remove_reader(pool, role)
