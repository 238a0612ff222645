"""Bytes of events and minutes before and after TimescaleDB packs them in columns. Called by `python -m tests.bench packed`.

On TimescaleDB in WebAssembly (tests/timescale), which lays rows on pages as a server does; needs Node.js and npm.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the tests' own modules are
sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))

from test_timescale_statements import NOW, WasmConnection, _migrated

from citybrain.store import timescale

METERS, MINUTES, EVERY = 400, 1440, 15  # a day
_EVENTS = f"""
insert into event (time, source_no, id, type, subject, area, data, fingerprint, accepted_at)
select t + m * interval '1 s', m % 20, upper(md5(m || 'x' || t)), 'utility.reading', 'meter-' || lpad(m::text, 6, '0'),
       '610602001001001',
       json_build_object('medium', 'water', 'quantity', 'flow', 'value', round((random() * 10)::numeric, 3), 'unit', 'm³/h'),
       decode(md5(m || 'f' || t) || md5(m || 'g' || t), 'hex'), t + interval '1 min'
  from generate_series('2026-01-05'::timestamptz, '2026-01-05 23:59'::timestamptz, interval '{EVERY} min') t,
       generate_series(1, {METERS}) m
"""
_WINDOWS = f"""
insert into metric_window_1m (series, start, parent, leaf, count, sum, min, max, latest, subjects)
select m, t, 1000 + m % 10, true, 1, v, v, v,
       to_char(t, 'YYYY-MM-DD HH24:MI:SS.US') || e'\\x01' || m % 20 || e'\\x01' || upper(md5(m || 'x' || t)) || e'\\x01' || v, 1
  from (select m, t, (random() * 10000)::bigint * 1000 as v
          from generate_series('2026-01-05'::timestamptz, '2026-01-05 23:59'::timestamptz, interval '{EVERY} min') t,
               generate_series(1, {METERS}) m) f
"""
_SIZE = "select hypertable_size('{table}')::bigint as n"


def measure() -> None:
    """Print bytes a row, as they are and packed."""
    with tempfile.TemporaryDirectory(prefix="citybrain-bench-") as name:
        folder, node, npm = Path(name), shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise SystemExit("needs Node.js and npm")
        for one in ("package.json", "package-lock.json", "server.mjs"):
            shutil.copy(Path(__file__).parents[1] / "timescale" / one, folder)
        subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300)
        asyncio.run(_measured(node, folder))


async def _measured(node: str, folder: Path) -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(node, "server.mjs", cwd=folder, stdin=pipe, stdout=pipe, limit=1 << 26)
    try:
        connection = WasmConnection(process)
        await _migrated(connection)  # type: ignore[arg-type]
        rows = METERS * MINUTES // EVERY
        empty = {table: await connection.fetchval(_SIZE.format(table=table)) for table in ("event", "metric_window_1m")}
        for statement in (_EVENTS, _WINDOWS):
            await connection.execute(statement)
        plain = {table: await connection.fetchval(_SIZE.format(table=table)) for table in empty}
        await timescale.compress(connection, NOW, late=False)  # type: ignore[arg-type]
        for table, size in plain.items():
            packed = await connection.fetchval(_SIZE.format(table=table))
            each = [(one - empty[table]) / rows for one in (size, packed)]
            print(f"packed {table:<18} {rows} rows: {each[0]:.0f} bytes a row, packed {each[1]:.1f}", flush=True)  # noqa: T201
    finally:
        process.kill()
        await process.wait()
