"""What a city takes: bytes on disk of an event and all that is kept for it, without TimescaleDB; memory, connections of a role.

`python -m tests.bench bytes`. Sizes include indexes. docs/howto/sizing.md reckons with what this prints.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the tests' own modules are

import asyncpg
from tests.bench.city import play, running_city, write_profile
from tests.bench.shapes import Shape, bodies

from citybrain.store.embedded import database_of
from cluster import Cluster, Role

GRIDS = 200
SHAPES = (
    Shape("meters", 480_000, 5_000, timedelta(minutes=15), "utility.reading"),  # a day
    Shape("dense", 300_000, 500, timedelta(minutes=1), "parking.occupancy"),  # ten hours
)
FAMILIES = {
    "event": ("event", "event_personal", "event_conflict", "source"),
    "event_identity": ("event_identity",),
    "metric_window_1m": ("metric_window_1m",),
    "metric_window_1h": ("metric_window_1h",),
    "metric_window_1d": ("metric_window_1d",),
    "bus": ("bus_segment", "bus_partition", "bus_position"),
    "asset_state, series": ("asset_state", "series"),
}
_SIZES = """
select coalesce(p.relname, c.relname) as name, sum(pg_total_relation_size(c.oid))::bigint as bytes
  from pg_class c
  left join pg_inherits i on i.inhrelid = c.oid
  left join pg_class p on p.oid = i.inhparent
 where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
 group by 1
"""
_ROWS = "select count(*) as rows, count(*) filter (where leaf) as of_assets from {table}"
_CONNECTIONS = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
ROLES = ("ingest", "aggregate", "alert", "deliver", "api")


def measure() -> None:
    """Print bytes by table for each shape, then memory and connections of each role."""
    for shape in SHAPES:
        _tell(shape, *_played(shape))
    _roles()


def _played(shape: Shape) -> tuple[Mapping[str, int], Mapping[str, Any], int]:
    """Bytes by table, rows of windows, and bytes of PostgreSQL's log that it took."""
    with tempfile.TemporaryDirectory(prefix="citybrain-bench-") as name:
        with running_city(Path(name), GRIDS) as (city, codes):
            end = datetime.now(UTC) - timedelta(hours=1)
            before = asyncio.run(_ask(city.data, "select pg_current_wal_lsn() - '0/0'"))
            asyncio.run(play(city, bodies(shape.posts(codes, end), 500)))
            log = asyncio.run(_ask(city.data, "select pg_current_wal_lsn() - '0/0'")) - before
        return *asyncio.run(_looked_at(Path(name) / "data")), int(log)


async def _ask(data: Path, question: str) -> Any:
    async with database_of(data) as dsn:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()


async def _looked_at(data: Path) -> tuple[Mapping[str, int], Mapping[str, Any]]:
    async with database_of(data) as dsn:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("vacuum analyze")
            sizes = {row["name"]: row["bytes"] for row in await connection.fetch(_SIZES)}
            tables = [name for name in FAMILIES if name.startswith("metric_window")]
            return sizes, {name: await connection.fetchrow(_ROWS.format(table=name)) for name in tables}
        finally:
            await connection.close()


def _tell(shape: Shape, sizes: Mapping[str, int], rows: Mapping[str, Any], log: int) -> None:
    total = sum(sizes.values())
    head = f"bytes {shape.name}: {shape.events} events of {shape.subjects} assets, {GRIDS} grids"
    print(f"{head}: {total / shape.events:.0f} an event")  # noqa: T201
    for family, tables in FAMILIES.items():
        size = sum(sizes.get(name, 0) for name in tables)
        held = rows.get(family)
        each = f", {held['rows']} rows, {held['of_assets']} of assets, {size / held['rows']:.0f} a row" if held else ""
        print(f"  {family:<20} {size / 2**20:8.1f} MiB  {size / shape.events:6.1f} an event{each}")  # noqa: T201
    print(f"  {'the log of PostgreSQL':<20} {log / 2**20:8.1f} MiB  {log / shape.events:6.1f} an event", flush=True)  # noqa: T201


def _roles() -> None:
    """Each role alone on one database, after it has worked."""
    with tempfile.TemporaryDirectory(prefix="citybrain-bench-") as name:
        root = Path(name)
        codes = write_profile(root / "city", GRIDS)
        city = Cluster(root, "postgres")
        try:
            city.begin(root / "city")
            held, roles = asyncio.run(_connections(city)), {}
            for role in ROLES:
                roles[role] = city.start(role)
                now = asyncio.run(_connections(city))
                print(f"connections of {role} at rest: {now - held}", flush=True)  # noqa: T201
                held = now
            posts = bodies(SHAPES[0].posts(codes, datetime.now(UTC)), 500)[:200]
            for body in posts:
                roles["ingest"].send("POST", "/v1/events", body, {"Content-Type": "application/json"})
            roles["api"].settled(len(posts) * 500)
            for role, process in roles.items():
                print(f"memory of {role}: {_resident_mib(process):.0f} MiB")  # noqa: T201
            print(f"connections of all, after 100,000 events: {asyncio.run(_connections(city))}", flush=True)  # noqa: T201
        finally:
            city.end()


async def _connections(city: Cluster) -> int:
    connection = await asyncpg.connect(city.values["CITYBRAIN_DATABASE_URL"])
    try:
        return int(await connection.fetchval(_CONNECTIONS))
    finally:
        await connection.close()


def _resident_mib(role: Role) -> float:
    assert role.process is not None
    pages = Path(f"/proc/{role.process.pid}/statm").read_text("utf-8").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20
