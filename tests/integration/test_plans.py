"""How much statements touch while their tables have no statistics: nobody analyzes before a backlog that arrives at once is read.

What an asset or an area has is looked up minute by minute. Joined all with all, or read with what everybody else has then, it
would be millions of rows, and a batch would take minutes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from citybrain.store.partitions import Partitions, month_of
from citybrain.store.queries import load
from plans import nodes

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
THERE, ASKED = 5_000, 1_000
HOUR = timedelta(hours=1)
ASSET, AREA, ELSEWHERE = 32, 16, 48
OTHERS = range(100, 140)  # series and subjects that nobody asks for, but for the first two of the subjects
_HOURS = f"generate_series(0, {THERE - 1}) n"
_OTHERS = f"generate_series({THERE - ASKED}, {THERE - 1}) n, generate_series({OTHERS[0]}, {OTHERS[-1]}) other"
_WINDOWS = "insert into metric_window_1m (series, start, parent, leaf, count, sum, min, max, latest, subjects)"
_START = f"timestamptz '{BEGIN}' + n * interval '1 hour'"
_FIGURES = "true, 1, 1, 1, 1, '1767225600000000', 1"
FILLED = (
    "alter table paired_reading set (autovacuum_enabled = false)",
    f"insert into series (series_no, metric, area) overriding system value values ({ASSET}, 'm', '2'), ({AREA}, 'm', '1')",
    f"""insert into paired_reading (metric, subject, chain, time, key, area, role, micros)
        select 'm', 's', 'register', {_START}, 'k', '2', 'register', n from {_HOURS}""",
    f"{_WINDOWS} select {ASSET}, {_START}, {AREA}, {_FIGURES} from {_HOURS}",
    f"{_WINDOWS} select other, {_START}, {ELSEWHERE}, {_FIGURES} from {_OTHERS}",
    f"""insert into event (time, source_no, id, type, subject, area, data, fingerprint, accepted_at)
        select {_START}, 1, n || '-' || other, 't', nullif('s' || other, 's{OTHERS[0]}'), '2', '{{}}', '', now()
          from {_OTHERS}""",
)
STARTS = [BEGIN + (THERE - ASKED + n) * HOUR for n in range(ASKED)]
ENDS = [start + HOUR for start in STARTS]
SPAN = (STARTS[0], ENDS[-1])
_SINCE_1970 = [int(start.timestamp()) // 60 for start in STARTS]
MINUTES = [_SINCE_1970, [minute + 1 for minute in _SINCE_1970], _SINCE_1970[0], _SINCE_1970[-1] + 1]
NAMES = ([name] * ASKED for name in ("m", "s", "2"))


def old_events(other: int, subject: str | None) -> tuple[str, list[Any]]:
    """The statement that finds old events of one subject, or without one, and its arguments."""
    ids = [f"{THERE - ASKED + n}-{other}" for n in range(ASKED)]
    at = [int(start.timestamp()) * 1_000_000 for start in STARTS]
    return load("batch")["find_old_events"], [[1] * ASKED, ids, at, [subject] * ASKED, at[0], at[-1]]


STATEMENTS = {
    "old events of a subject": old_events(OTHERS[1], f"s{OTHERS[1]}"),
    "old events without a subject": old_events(OTHERS[0], None),
    "derive": (load("pairs")["derive"], [*NAMES, STARTS, [ASSET] * ASKED, [AREA] * ASKED, *SPAN]),
    "leaf_rows": (
        load("rollup")["leaf_rows"].format(table="metric_window_1h", finer="metric_window_1m"),
        [[AREA] * ASKED, STARTS, ENDS, BEGIN, *SPAN],
    ),
    "area_rows": (
        load("rollup")["area_rows"].format(table="metric_window_1m", order="start, series"),
        [[AREA] * ASKED, STARTS, [0] * ASKED, [0] * ASKED, None, STARTS[0], STARTS[-1]],
    ),
    "minutes of alert": (load("changes")["minutes"], [[1] * ASKED, [ASSET] * ASKED, *MINUTES]),
    "minutes of assets beneath": (load("changes")["leaf_minutes"], [[1] * ASKED, [AREA] * ASKED, *MINUTES]),
    "subjects_beneath": (load("alerts")["subjects_beneath"], [list(range(ASKED)), [AREA] * ASKED, STARTS, ENDS]),
    "heard": (load("heard")["minutes"], [[1] * ASKED, [ASSET] * ASKED, [AREA] * ASKED, STARTS, ENDS]),
}


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
