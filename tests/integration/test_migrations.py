"""Migrations: forward, step by step or at once to the same schema, by several hosts, and never waiting for long."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from city import run
from citybrain.store import migrate as module
from citybrain.store.embedded import embedded_postgres
from citybrain.store.migrate import MigrationBlocked, MigrationChanged, known_migrations, migrate
from embedded_city import ask
from postgres import Databases

_SCHEMA = """
select 'column' as kind, c.relname || '.' || a.attname as name,
       concat_ws(' ', a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attstorage, l.collname,
                 pg_get_expr(d.adbin, d.adrelid)) as what
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  left join pg_collation l on l.oid = a.attcollation
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
union all
select 'relation', c.relname, concat_ws(' ', c.relkind, c.reloptions, pg_get_partkeydef(c.oid),
                 replace(pg_get_viewdef(c.oid), '::text AS text,', '::text,'))  -- so 15 has it of a view made from its own text
  from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
union all
select 'index', c.relname, pg_get_indexdef(i.indexrelid)
  from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace = 'public'::regnamespace
union all
select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
  from pg_constraint where connamespace = 'public'::regnamespace and contype <> 't'
 order by 1, 2, 3
"""


@pytest.fixture
async def empty(databases: Databases) -> AsyncIterator[str]:
    """The dsn of a database without a table."""
    name = f"empty_{uuid4().hex}"
    connection = await asyncpg.connect(databases.dsn("postgres"), timeout=10)
    await connection.execute(f"create database {name}")
    yield databases.dsn(name)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


async def schema_of(dsn: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return [tuple(row) for row in await connection.fetch(_SCHEMA)]
    finally:
        await connection.close()


async def test_step_by_step_and_at_once_give_the_same_schema(empty: str, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = module._files()
    for count in range(1, len(files) + 1):
        monkeypatch.setattr(module, "_files", lambda count=count: files[:count])
        assert await migrate(empty) == [files[count - 1][0]]
    assert await migrate(empty) == []
    assert await schema_of(empty) == await schema_of(database)
    assert len(await schema_of(database)) > 200


async def test_rows_come_along(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = module._files()
    monkeypatch.setattr(module, "_files", lambda: files[:2])
    monkeypatch.setattr(module.timescale, "adopt", nothing)
    await migrate(empty)
    connection = await asyncpg.connect(empty, timeout=10)
    columns = "(series, start, parent, leaf, count, sum, subjects)"
    for step, starts in {
        "1h": ["2024-12-31 23:00Z", "2025-01-01 00:00Z"],
        "1d": ["2024-12-31 16:00Z", "2026-01-01 16:00Z"],
    }.items():
        for start in starts:
            await connection.execute(f"insert into metric_window_{step} {columns} values (1, '{start}', 2, true, 3, 4.5, 1)")
    before = [await connection.fetch(f"select * from metric_window_{step} order by start") for step in ("1h", "1d")]
    monkeypatch.undo()
    assert await migrate(empty) == [name for name, _ in files[2:]]
    after = [await connection.fetch(f"select * from metric_window_{step} order by start") for step in ("1h", "1d")]
    assert [[tuple(row) for row in rows] for rows in before] == [[tuple(row) for row in rows] for rows in after]
    await connection.close()


async def nothing(*_: object) -> bool:
    return False


async def test_five_hosts_at_once_apply_each_file_once(empty: str) -> None:
    command = [sys.executable, "-m", "citybrain", "migrate"]
    hosts = [
        await asyncio.create_subprocess_exec(
            *command, env={"CITYBRAIN_DATABASE_URL": empty}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        for _ in range(5)
    ]
    said = sorted([(await one.communicate())[0].decode().strip() for one in hosts])
    assert [one.returncode for one in hosts] == [0] * 5
    nothing_to_do = "nothing to apply: the database is of this version"
    assert said == sorted([f"applied {', '.join(known_migrations())}", *[nothing_to_do] * 4])


async def test_who_waits_for_a_lock_gives_up_and_changes_nothing(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_TIMEOUT", "200ms")
    files = module._files()
    monkeypatch.setattr(module, "_files", lambda: files[:2])
    monkeypatch.setattr(module.timescale, "adopt", nothing)
    await migrate(empty)
    monkeypatch.setattr(module, "_files", lambda: files)
    reader = await asyncpg.connect(empty, timeout=10)
    before = await schema_of(empty)
    async with reader.transaction():
        await reader.fetch("select * from v_window")
        with pytest.raises(MigrationBlocked, match="nothing was changed: stop the roles, or end that session"):
            await migrate(empty)
    assert await schema_of(empty) == before
    assert await migrate(empty) == [name for name, _ in files[2:]]
    await reader.close()


async def test_who_meets_a_database_of_another_version_says_what_to_do(empty: str, database: str) -> None:
    for command in (["api", "--port", "0"], ["keys", "list"]):
        said = await _refused(command, empty)
        assert said.startswith("the database is not of this version, it lacks 0001_core.sql, "), said
        assert "run `citybrain migrate`" in said
    connection = await asyncpg.connect(database, timeout=10)
    await connection.execute("insert into migration (name, sha256) values ('9999_later.sql', '')")
    await connection.close()
    for command in (["aggregate", "--until-end"], ["migrate"]):
        said = await _refused(command, database)
        assert said == "the database is of a later version, it has 9999_later.sql: run that version of citybrain"


async def test_a_newer_database_is_not_changed_even_where_it_lacks_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = module._files()
    async with embedded_postgres(tmp_path / "data") as postgres:
        with monkeypatch.context() as older:
            older.setattr(module, "_files", lambda: files[:2])
            older.setattr(module.timescale, "adopt", nothing)
            await migrate(postgres.dsn)
        await ask(postgres.dsn, "insert into migration (name, sha256) values ('0009_future.sql', '')")
        before = await schema_of(postgres.dsn)
        complaint = await _refused(["migrate"], postgres.dsn)
    up = await asyncio.to_thread(run, "up", "--data", tmp_path / "data", "--port", "0", cwd=tmp_path)
    assert up.code == 1
    assert up.complaint == [f"citybrain: {complaint}"]
    assert "of a later version, it has 0009_future.sql:" in complaint
    async with embedded_postgres(tmp_path / "data") as postgres:
        assert await schema_of(postgres.dsn) == before


async def _refused(command: list[str], dsn: str) -> str:
    """The last line of what a command says that fails."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "citybrain", *command, env={"CITYBRAIN_DATABASE_URL": dsn}, stdout=pipe, stderr=pipe
    )
    out, complaint = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode not in {0, None}
    assert out == b""
    [line] = complaint.decode().strip().splitlines()
    return line.removeprefix("citybrain: ").removeprefix("error: ")


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = module._files()
    monkeypatch.setattr(module, "_files", lambda: [(files[0][0], files[0][1] + "\n-- more"), *files[1:]])
    with pytest.raises(MigrationChanged, match=files[0][0]):
        await migrate(database)
