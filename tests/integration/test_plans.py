"""How much statements touch while their tables have no statistics: nobody analyzes before a backlog that arrives at once is read.

An asset's rows are looked up minute by minute. Joined all with all they would be millions, and a batch would take minutes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from citybrain.store.partitions import Partitions, month_of
from citybrain.store.queries import load

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
THERE, ASKED = 5_000, 1_000
HOUR = timedelta(hours=1)
ASSET, AREA = 32, 16
FILLED = (
    "alter table paired_reading set (autovacuum_enabled = false)",
    f"insert into series (series_no, metric, area) overriding system value values ({ASSET}, 'm', '2'), ({AREA}, 'm', '1')",
    f"""insert into paired_reading (metric, subject, chain, time, key, area, role, micros)
        select 'm', 's', 'register', timestamptz '{BEGIN}' + n * interval '1 hour', 'k', '2', 'register', n
          from generate_series(0, {THERE - 1}) n""",
    f"""insert into metric_window_1m (series, start, parent, leaf, count, sum, min, max, latest, subjects)
        select {ASSET}, timestamptz '{BEGIN}' + n * interval '1 hour', {AREA}, true, 1, 1, 1, 1, 'x', 1
          from generate_series(0, {THERE - 1}) n""",
)
STARTS = [BEGIN + (THERE - ASKED + n) * HOUR for n in range(ASKED)]
SPAN = (STARTS[0], STARTS[-1] + HOUR)
NAMES = ([name] * ASKED for name in ("m", "s", "2"))
STATEMENTS = {
    "derive": (load("pairs")["derive"], [*NAMES, STARTS, [ASSET] * ASKED, [AREA] * ASKED, *SPAN]),
    "leaf_rows": (
        load("rollup")["leaf_rows"].format(table="metric_window_1h", finer="metric_window_1m"),
        [[AREA] * ASKED, STARTS, [start + HOUR for start in STARTS], BEGIN, *SPAN],
    ),
}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for one in plan.get("Plans", ()):
        yield from nodes(one)


def touched(node: dict[str, Any]) -> int:
    """Rows that a node of an analyzed plan gave or looked at in vain."""
    removed = sum(int(node.get(f"Rows Removed by {what}", 0)) for what in ("Filter", "Join Filter"))
    return round((node["Actual Rows"] + removed) * node["Actual Loops"])


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_touches_what_it_is_about(database: str, name: str) -> None:
    query, arguments = STATEMENTS[name]
    connection = await asyncpg.connect(database)
    try:
        await Partitions().ensure(connection, {month_of(BEGIN + n * 24 * HOUR) for n in range(THERE // 24 + 1)})
        for statement in FILLED:
            await connection.execute(statement)
        plan = await _analyzed(connection, query, arguments)
    finally:
        await connection.close()
    most = max(nodes(plan), key=touched)
    assert touched(most) <= 5 * ASKED, most


async def _analyzed(connection: asyncpg.Connection[asyncpg.Record], query: str, arguments: Sequence[object]) -> dict[str, Any]:
    found = await connection.fetchval(f"explain (analyze, format json) {query}", *arguments)
    plan: dict[str, Any] = json.loads(found)[0]["Plan"]
    return plan
