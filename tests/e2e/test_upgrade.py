"""Upgrading as docs/howto/upgrade.md says: the data of a city in the tables of each older version is brought forward; an older
version's roles go on beside newer tables, and do not start on them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from places import occupancy, write_profile

from citybrain.store import migrate as module
from citybrain.store.migrate import known_migrations
from cluster import DATABASE, Cluster, cluster, wait_for
from pages import in_shell, scene

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]
TABLES = """
select c.relname as name, array_agg(a.attname::text order by a.attnum) as columns
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'migration'
 group by 1
"""
PARTITIONS = """
select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound, p.relname as parent
  from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
 where c.relkind = 'r' and c.relispartition
"""
SEQUENCES = """
select setval(pg_get_serial_sequence(c.relname, a.attname), 1000000)
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attidentity <> ''
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
"""
CUT = "select relname from pg_class where relkind = 'p' and relnamespace = 'public'::regnamespace"
ROLES = ("ingest", "aggregate", "alert", "api")
HEARTBEATS = {"delivery": "tick is not null", "endpoint": "heartbeat"}  # rows that older tables cannot tell from a city's own


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this version that has something in its tables, and whose roles have stopped."""
    root = tmp_path_factory.mktemp("lived")
    with cluster(root, profile=write_profile(root / "city")) as city:
        roles = {role: city.start(role) for role in ROLES}
        events = [occupancy(n % 90, subject=f"lot-{n % 20}") for n in range(300)]
        for batch in (events, events[:10], [events[0] | {"data": {"occupied": 91, "capacity": 100}}]):
            assert roles["ingest"].post_until_answered(batch).status == 202
        assert roles["api"].figures() == (311, 300, 10, 1, 0)
        for role in roles.values():
            assert role.stop()[0] == 0
        for table, of_a_heartbeat in HEARTBEATS.items():
            wait_for(city.execute(f"delete from {table} where {of_a_heartbeat}"))
        yield city


def test_the_first_version_is_not_the_only_one() -> None:
    assert len(known_migrations()) > 3


@pytest.mark.parametrize("count", range(1, len(known_migrations())))
def test_what_a_city_holds_comes_along_from_every_older_version(
    lived: Cluster, count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name, files = f"older_{count}", module._files()
    wait_for(lived.execute(f"create database {name}", "postgres"))
    with monkeypatch.context() as older:
        older.setattr(module, "_files", lambda: files[:count])
        older.setattr(module.timescale, "adopt", _nothing)
        wait_for(module.migrate(lived.server.dsn(name)))
    wait_for(_copy(lived.server.dsn(DATABASE), lived.server.dsn(name)))
    values = {**lived.values, "CITYBRAIN_DATABASE_URL": lived.server.dsn(name)}
    expected = lived.run("state", "dump").ok().out

    before, lived.values = lived.values, values
    try:
        refused = lived.run("api", "--port", "0")
        assert refused.code == 1
        assert refused.complaint == [f"citybrain: {_lacks(count)}"]
        said = in_shell(scene("docs/howto/storage.md", "migrate"), tmp_path, values).out
        assert said.strip() == f"applied {', '.join(known_migrations()[count:])}"
        lived.run("city", "load", write_profile(tmp_path / "city")).ok()
        assert lived.run("state", "dump").ok().out == expected != ""
        lived.run("state", "verify").ok()
        roles = {role: lived.start(role) for role in ROLES}
        assert roles["ingest"].post_until_answered([occupancy(1)]).status == 202
        assert roles["api"].settled(312)["stored"] == 301
        for role in roles.values():
            assert role.stop()[0] == 0
    finally:
        lived.values = before


def _lacks(count: int) -> str:
    todo = "run `citybrain migrate`, or `citybrain up` where the city is embedded"
    return f"the database is not of this version, it lacks {', '.join(known_migrations()[count:])}: {todo}"


async def _nothing(*_: object) -> bool:
    return False


async def _copy(source_dsn: str, target_dsn: str) -> None:
    """All rows, in the columns that the older tables have."""
    source, target = await asyncpg.connect(source_dsn), await asyncpg.connect(target_dsn)
    try:
        await target.execute("set session_replication_role = replica")  # rows come in no order
        older, newer = [{row["name"]: row["columns"] for row in await one.fetch(TABLES)} for one in (target, source)]
        await target.execute(f"truncate {', '.join(older)}")
        there = {row["name"] for row in await target.fetch(PARTITIONS)}
        cut = {row["relname"] for row in await target.fetch(CUT)}
        for one in await source.fetch(PARTITIONS):
            if one["name"] not in there and one["parent"] in cut:
                await target.execute(f"create table {one['name']} partition of {one['parent']} {one['bound']}")
        for name, columns in older.items():
            shared = [column for column in columns if column in newer.get(name, ())]
            listed = ", ".join(f'"{column}"' for column in shared)
            data = await _copied(source, f"select {listed} from {name}") if shared else b""
            await target.copy_to_table(name, source=_once(data), columns=shared)
        await target.execute(SEQUENCES)
    finally:
        await source.close()
        await target.close()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _copied(source: asyncpg.Connection, query: str) -> bytes:
    parts: list[bytes] = []

    async def take(part: bytes) -> None:
        parts.append(part)

    await source.copy_from_query(query, output=take)
    return b"".join(parts)


def test_running_roles_go_on_beside_newer_tables_and_do_not_start_on_them(tmp_path: Path) -> None:
    with cluster(tmp_path, profile=write_profile(tmp_path / "city")) as city:
        roles = {role: city.start(role) for role in ROLES}
        assert roles["ingest"].post_until_answered([occupancy(1)]).status == 202
        assert roles["api"].figures()[0] == 1
        wait_for(city.execute("alter table event add column later text"))
        wait_for(city.execute("alter table metric_window_1m add column later text"))
        wait_for(city.execute("insert into migration (name, sha256) values ('9999_later.sql', '')"))
        assert roles["ingest"].post_until_answered([occupancy(n, subject=f"lot-{n}") for n in range(50)]).status == 202
        assert roles["api"].settled(51)["stored"] == 51
        said = "the database is of a later version, it has 9999_later.sql: run that version of citybrain"
        for words in (("aggregate", "--port", "0"), ("migrate",)):
            refused = city.run(*words)
            assert refused.code == 1
            assert refused.complaint == [f"citybrain: {said}"]
        assert asyncio.run(_is_there(city.server.dsn(DATABASE)))


async def _is_there(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval("select true from migration where name = '9999_later.sql'"))
    finally:
        await connection.close()
