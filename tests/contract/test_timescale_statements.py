"""Our own code for TimescaleDB against TimescaleDB in WebAssembly: migrations, packing, a late upsert, dropping.

The server of CITYBRAIN_TEST_TIMESCALE_URL runs every test; where there is none this proves at least that each statement is
understood. Needs Node.js and npm.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import asyncpg
import polars as pl
import pytest

from citybrain.store import batches, partitions, readers, timescale, upkeep
from citybrain.store import migrate as migrations
from citybrain.store.pool import Connection
from citybrain.store.queries import load
from dashboards import Asked, choices, expand, panels
from kafka_server import leave_out

_PROOF = Path(__file__).parents[1] / "timescale"
OLD = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
NOW = OLD + timedelta(days=90)


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The proof with its one package installed."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        leave_out("no Node.js with npm here: statements of TimescaleDB are left out")
    folder = tmp_path_factory.mktemp("timescale")
    for name in ("package.json", "package-lock.json", "server.mjs"):
        shutil.copy(_PROOF / name, folder)
    command = [npm, "ci", "--silent", "--no-audit", "--no-fund"]
    if subprocess.run(command, cwd=folder, check=False, timeout=120).returncode != 0:
        leave_out("npm could not install TimescaleDB in WebAssembly: its statements are left out")
    return folder


class Row(dict[str, Any]):
    """A row whose values are what it iterates over, as the driver's are."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())


def _read(found: dict[str, Any]) -> Any:
    return datetime.fromisoformat(found["timestamptz"]) if found.keys() == {"timestamptz"} else Row(found)


class WasmConnection:
    """As much of a connection as our code uses, over the pipes of a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def fetch(self, sql: str, *params: object, timeout: float | None = None) -> list[Row]:  # noqa: ASYNC109
        return await self._ask({"sql": sql, "params": [_sent(one) for one in params]})

    async def copy_to_table(self, table: str, *, source: BytesIO, columns: Sequence[str], format: str) -> None:  # noqa: A002
        sql = f"copy {table} ({', '.join(columns)}) from '/dev/blob' (format {format})"
        await self._ask({"sql": sql, "params": [], "blob": source.read().decode()})

    async def _ask(self, question: dict[str, object]) -> list[Row]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(self._process.stdout.readline(), 60), object_hook=_read)
        if answer.get("error") is not None:
            kind = asyncpg.UniqueViolationError if answer.get("code") == "23505" else asyncpg.PostgresError
            raise kind(answer["error"])
        rows: list[Row] = answer["rows"]
        return rows

    async def execute(self, sql: str, *params: object, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self.fetch(sql, *params, timeout=timeout)

    async def fetchval(self, sql: str, *params: object) -> Any:
        rows = await self.fetch(sql, *params)
        return next(iter(rows[0])) if rows else None

    async def fetchrow(self, sql: str, *params: object) -> Any:
        return next(iter(await self.fetch(sql, *params)), None)

    def is_in_transaction(self) -> bool:
        return self._depth > 0

    _depth = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A transaction, or a savepoint within one."""
        name = f"s{self._depth}"
        await self.execute("begin" if self._depth == 0 else f"savepoint {name}")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            await self.execute("rollback" if self._depth == 0 else f"rollback to savepoint {name}")
            raise
        self._depth -= 1
        await self.execute("commit" if self._depth == 0 else f"release savepoint {name}")


def _sent(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return f"{value.total_seconds()} seconds" if isinstance(value, timedelta) else value


@pytest.fixture
async def wasm(node_folder: Path) -> AsyncIterator[Connection]:
    """An empty database."""
    node = shutil.which("node")
    assert node is not None
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        node, "server.mjs", cwd=node_folder, stdin=pipe, stdout=pipe, limit=64 * 1024 * 1024
    )
    yield cast("Connection", WasmConnection(process))
    assert process.stdin is not None
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 20)


async def _migrated(connection: Connection, chunk: timedelta = timedelta(days=1)) -> None:
    async with connection.transaction():
        for _, text in migrations._files():
            await connection.execute(text)
        assert await timescale.adopt(connection, chunk)


async def _add(connection: Connection, readings: dict[tuple[int, datetime], int], *, new: bool = False) -> None:
    """Add {(series, minute): value} as a batch does, all of them taken for new or none."""
    rows = [
        (int(start.timestamp()) * 1_000_000, 1, str(value), value, value, f"{value}", str(value), "1", 1)
        for (_, start), value in readings.items()
    ]
    names = ("minute", "count", "sum", "min", "max", "latest", "part", "weight", "subjects")
    series = pl.Series("series", [number for number, _ in readings], dtype=pl.Int32)
    more = (series, pl.lit(99).alias("parent"), pl.lit(new).alias("is_new"))
    async with connection.transaction():
        await batches.add_minutes(connection, pl.DataFrame(rows, schema=names, orient="row").with_columns(*more))


async def _statuses(connection: Connection) -> list[int]:
    query = "select c.status from _timescaledb_catalog.chunk c join _timescaledb_catalog.hypertable h on h.id = c.hypertable_id"
    rows = await connection.fetch(f"{query} where h.table_name = 'metric_window_1m' order by c.id")
    return [row["status"] for row in rows]


async def test_every_table_that_grows_becomes_a_hypertable_and_views_stay(wasm: Connection) -> None:
    await _migrated(wasm)
    rows = await wasm.fetch("select hypertable_name, compression_enabled from timescaledb_information.hypertables order by 1")
    assert [tuple(row) for row in rows] == [
        (name, True) for name in ("event", "metric_window_1d", "metric_window_1h", "metric_window_1m")
    ]
    for view in ("v_event", "v_window", "v_asset", "v_alert"):
        assert await wasm.fetch(f"select * from {view}") == []
    assert not (await wasm.fetchrow(load("partitions")["is_partitioned"]))["?column?"]
    async with wasm.transaction():
        assert await timescale.adopt(wasm, timedelta(days=2))
    lengths = await wasm.fetch("select distinct time_interval::text as i from timescaledb_information.dimensions order by 1")
    assert [row["i"] for row in lengths] == ["2 days", "208 days", "26 days"]


async def test_late_rows_join_a_packed_chunk_and_are_packed_later(wasm: Connection) -> None:
    await _migrated(wasm)
    minutes = [OLD + timedelta(minutes=n) for n in range(30)]
    await _add(wasm, {(series, start): 5 for series in (1, 2, 3) for start in minutes})
    packed = await timescale.compress(wasm, NOW, late=False)
    assert len(packed) == 1
    assert await _statuses(wasm) == [1]
    await _add(wasm, {(2, minutes[7]): 7, (2, minutes[7] + timedelta(hours=1)): 1})
    assert (await _statuses(wasm))[0] & 8 == 8
    rows = await wasm.fetch("select series, count, sum::text as sum, revision from metric_window_1m where count > 1")
    assert [tuple(row) for row in rows] == [(2, 2, "12", 1)]
    assert await wasm.fetchval(f"select count(*) from only {packed[0]} where series <> 2") == 0
    assert await timescale.compress(wasm, NOW, late=False) == []
    assert await timescale.compress(wasm, NOW, late=True) == packed
    assert (await _statuses(wasm))[0] & 10 == 0
    assert await wasm.fetchval("select count(*) from metric_window_1m") == 91


async def test_rows_are_copied_into_a_packed_chunk_and_added_where_one_is_there_already(wasm: Connection) -> None:
    await _migrated(wasm)
    minutes = [OLD + timedelta(minutes=n) for n in range(30)]
    await _add(wasm, {(series, start): 5 for series in (1, 2, 3) for start in minutes}, new=True)
    packed = await timescale.compress(wasm, NOW, late=False)
    assert await _statuses(wasm) == [1]
    await _add(wasm, {(4, start): 1 for start in minutes}, new=True)
    assert await wasm.fetchval("select count(*) from metric_window_1m") == 120
    await _add(wasm, {(3, minutes[3]): 7, (5, minutes[3]): 1}, new=True)
    rows = await wasm.fetch("select series, count, sum::text as sum, revision from metric_window_1m where count > 1")
    assert [tuple(row) for row in rows] == [(3, 2, "12", 1)]
    assert await timescale.compress(wasm, NOW, late=True) == packed
    assert await wasm.fetchval("select count(*) from metric_window_1m") == 121


async def test_chunks_of_events_are_listed_and_dropped(wasm: Connection) -> None:
    await _migrated(wasm)
    columns = "(time, source_no, id, type, subject, area, data, fingerprint, accepted_at)"
    for number in range(3):
        at = (OLD + timedelta(days=number)).isoformat()
        values = f"('{at}', 1, 'e{number}', 't', 's{number % 2}', 'a', '{{}}', '\\x00', '{at}')"
        await wasm.execute(f"insert into event {columns} values {values}")
    assert len(await timescale.compress(wasm, NOW, late=True)) == 3
    stretches = await partitions.event_stretches(wasm)
    assert len(stretches) == 3
    assert await upkeep.forget_events(wasm, stretches[1].end) == [one.name for one in stretches[:2]]
    assert [row["id"] for row in await wasm.fetch("select id from event")] == ["e2"]


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_every_query_of_a_dashboard_is_understood_and_finds_packed_windows(wasm: Connection) -> None:
    await _migrated(wasm)
    await wasm.execute("insert into metric values ('water.pressure', 'kPa', 'gauge', 'mean', 2)")
    ring = '{"type": "Polygon", "coordinates": [[[109, 36], [110, 37], [109, 36]]]}'
    columns = "(code, level, parent, name_en, name_zh, geometry)"
    await wasm.execute(f"insert into area {columns} values ('610600', 'city', null, 'Anluo', '安洛市', '{ring}')")
    series = "values ('water.pressure', '610600', null), ('water.pressure', '610600', 'pump-1')"
    await wasm.execute(f"insert into series (metric, area, subject) {series}")
    start = (OLD + timedelta(minutes=5)).isoformat()
    for number, parent, leaf in ((1, -1, "false"), (2, 1, "true")):
        figures = r"1, 305000000, 305000000, 305000000, e'0\x01s\x01i\x01305000000', 305000000, null, 1"
        columns = "(series, start, parent, leaf, count, sum, min, max, latest, part, weight, subjects)"
        await wasm.execute(f"insert into metric_window_1m {columns} values ({number}, '{start}', {parent}, {leaf}, {figures})")
    assert len(await timescale.compress(wasm, NOW, late=True)) == 1
    chosen = choices("610600", subject="pump-1", metric="water.pressure", medium="-")
    found = {}
    for one in panels("en"):
        for sql in one.sql:
            found[one.name] = await wasm.fetch(expand(sql, Asked(OLD, OLD + timedelta(hours=6), chosen)))
    for chart in ("en/overview.json: Water pressure", "en/asset.json: $subject: $metric"):
        assert [float(row["value"]) for row in found[chart]] == [305]
    assert len(found) > 60


async def test_readers_keep_their_views_when_hypertables_are_made(wasm: Connection) -> None:
    async with wasm.transaction():
        for _, text in migrations._files():
            await wasm.execute(text)
    await wasm.execute("create role watcher login")
    await readers.let_read(wasm, ["watcher"])
    assert await readers.holders(wasm) == ["watcher"]
    async with wasm.transaction():
        may_read = await readers.holders(wasm)
        assert await timescale.adopt(wasm, timedelta(days=1))
        assert not await wasm.fetchval("select has_table_privilege('watcher', 'v_window', 'select')")
        await readers.let_read(wasm, may_read)
    for view in ("v_window", "v_event", "v_asset"):
        assert await wasm.fetchval(f"select has_table_privilege('watcher', '{view}', 'select')")
    assert not await wasm.fetchval("select has_table_privilege('watcher', 'event', 'select')")


async def test_what_a_restore_tells_timescale_is_understood(wasm: Connection) -> None:
    """The steps of docs/howto/backup.md around pg_restore."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "backup.md").read_text("utf-8")
    before, after = re.findall(r"select (timescaledb_(?:pre|post)_restore\(\))", page)
    await _migrated(wasm)
    assert await wasm.fetchval(f"select {before}")
    assert await wasm.fetchval(f"select {after}")
    await _add(wasm, {(1, OLD): 5})
    assert await wasm.fetchval("select count(*) from metric_window_1m") == 1
