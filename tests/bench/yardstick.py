"""The yardstick: COPY of the same raw rows to staging, then INSERT … ON CONFLICT DO NOTHING into a table with the indexes of
`event` (and the key that the conflict is about), in batches of the same size, on a durable server of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import asyncpg

from citybrain.store.embedded import embedded_postgres

BATCH = 20_000  # as many as aggregate takes at once
_TABLE = """
create table event (time timestamptz, source text, id text, type text, subject text, area text, data jsonb,
                    primary key (time, source, id));
create index on event (subject, time);
create index on event using brin (time) with (pages_per_range = 16);
create temp table staging (like event) on commit delete rows
"""


async def seconds_of_yardstick(folder: Path, posts: Sequence[bytes]) -> float:
    """Seconds to store the events of the posts as raw rows."""
    rows = [_row(event) for body in posts for event in json.loads(body)]
    async with embedded_postgres(folder) as postgres:
        connection = await asyncpg.connect(postgres.dsn)
        await connection.execute(_TABLE)
        begun = time.monotonic()
        for at in range(0, len(rows), BATCH):
            async with connection.transaction():
                await connection.copy_records_to_table("staging", records=rows[at : at + BATCH])
                await connection.execute("insert into event select * from staging on conflict do nothing")
        took = time.monotonic() - begun
        await connection.close()
    return took


def _row(event: dict[str, object]) -> tuple[object, ...]:
    return (
        datetime.fromisoformat(str(event["time"])), event["source"], event["id"], event["type"], event["subject"], event["area"],
        json.dumps(event["data"]),
    )  # fmt: skip
