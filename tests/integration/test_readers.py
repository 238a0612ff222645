"""Readers of the views: roles that log in with a password, see every view, and nothing else, whatever migrations do."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from city import run
from citybrain.aggregate.modes import metric_rows
from citybrain.store import migrate as migrations
from citybrain.store import scram
from citybrain.store.dictionary import put_metrics
from citybrain.store.embedded_server import USER, Server
from citybrain.store.embedded_settings import settings
from citybrain.store.migrate import migrate
from citybrain.store.pool import open_pool
from citybrain.store.readers import ReaderRefused, add_reader, list_readers, remove_reader
from pages import in_shell, scene
from pipeline import pipeline
from postgres import Databases
from records import T0, minutes_later, occupancy, records, small_city

PASSWORD = "correct horse battery staple"  # noqa: S105 - of a server that this test starts
SIGNS = "a/b@c#d?e:f%41g h$i&j"
VIEWS = {"v_alert", "v_alert_log", "v_area", "v_asset", "v_delivery", "v_event", "v_series", "v_window"}
_RELATIONS = """
select relname from pg_class
 where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
"""


@pytest.fixture
async def role(databases: Databases) -> AsyncIterator[str]:
    """A name that nobody has, dropped afterwards; roles are the server's."""
    name = f"reader_{uuid4().hex}"
    yield name
    connection = await asyncpg.connect(databases.dsn("postgres"), timeout=10)
    with suppress(asyncpg.DependentObjectsStillExistError):  # a test that failed
        await connection.execute(f"drop role if exists {name}")
    await connection.close()


@asynccontextmanager
async def session(dsn: str, role: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A session with the rights of a role, from one that may take them on."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(f"set session authorization {role}")
        yield connection
    finally:
        await connection.close(timeout=5)


async def readable(dsn: str, role: str) -> set[str]:
    """The tables, views and sequences that the role can read, found out by trying."""
    found: set[str] = set()
    async with session(dsn, role) as connection:
        for row in await connection.fetch(_RELATIONS):
            try:
                await connection.fetch(f"select * from {row['relname']} limit 1")
                found.add(row["relname"])
            except asyncpg.InsufficientPrivilegeError:
                pass
    return found


async def dropped(dsn: str, role: str) -> None:
    async with open_pool(dsn, max_size=1) as pool:
        if role in await list_readers(pool):
            await remove_reader(pool, role)


def verifier() -> str:
    return scram.verifier(secrets.token_urlsafe(24), secrets.token_bytes(16))


async def test_a_reader_sees_every_view_and_nothing_else(database: str, role: str) -> None:
    async with pipeline(database, small_city()) as city:
        await put_metrics(city.pool, metric_rows())
        await city.post(records([occupancy("a", T0, 4), occupancy("b", minutes_later(5), 8)]))
        await city.drain()
    async with open_pool(database, max_size=1) as pool:
        assert await add_reader(pool, role, verifier()) == (True, True)
        assert await add_reader(pool, role, None) == (False, True)
        assert await list_readers(pool) == [role]
    assert await readable(database, role) == VIEWS
    async with session(database, role) as connection:
        assert await connection.fetchval("select count(*) from v_event") == 2
        assert await connection.fetchval("select count(*) from v_window where step = '1m' and subject = 'lot-1'") > 0
        for statement in (
            "delete from v_event",
            "insert into v_area (code) values ('x')",
            "create table mine (n integer)",
            "set role postgres",
        ):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(statement)
    await dropped(database, role)


async def test_readers_keep_their_views_through_migrations_that_make_them_anew(
    databases: Databases, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"empty_{uuid4().hex}"
    admin = await asyncpg.connect(databases.dsn("postgres"), timeout=10)
    await admin.execute(f"create database {name}")
    dsn = databases.dsn(name)
    files = migrations._files()
    monkeypatch.setattr(migrations, "_files", lambda: files[:2])
    await migrate(dsn)
    async with open_pool(dsn, max_size=1) as pool:
        await add_reader(pool, role, verifier())
        assert "v_series" not in await readable(dsn, role)
    anew = (
        "9000_anew.sql",
        "drop view v_window; create view v_window as select 1 as one; create view v_later as select 2 as two",
    )
    monkeypatch.setattr(migrations, "_files", lambda: [*files, anew])
    await migrate(dsn)
    assert await readable(dsn, role) == VIEWS | {"v_later"}
    await dropped(dsn, role)
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


async def test_who_may_do_more_than_read_is_no_reader(database: str, role: str) -> None:
    async with open_pool(database, max_size=1) as pool:
        await pool.execute(f"create role {role} login")
        await pool.execute(f"grant insert on event to {role}")
        with pytest.raises(ReaderRefused, match="may do more than read views, for example with event"):
            await add_reader(pool, role, verifier())
        await pool.execute(f"revoke insert on event from {role}")
        await add_reader(pool, role, verifier())
        with pytest.raises(ReaderRefused, match="is no reader"):
            await remove_reader(pool, "nobody_at_all")
        await remove_reader(pool, role)
        assert await pool.fetchval("select true from pg_roles where rolname = $1", role) is None


async def test_an_owner_who_may_not_make_roles_lets_one_read_that_an_administrator_made(
    databases: Databases, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a managed database: the owner of the city's database may neither make roles nor load extensions."""
    monkeypatch.setattr(migrations.timescale, "adopt", nothing)
    owner, name = f"owner_{uuid4().hex}", f"managed_{uuid4().hex}"
    admin = await asyncpg.connect(databases.dsn("postgres"), timeout=10)
    await admin.execute(f"create role {owner} superuser login")
    await admin.execute(f"create database {name} owner {owner}")
    dsn = databases.dsn(name)
    await migrate(dsn)
    everything = await asyncpg.connect(dsn, timeout=10)
    mine = "select format('alter table %s owner to {0}', oid::regclass) from pg_class where relnamespace = 'public'::regnamespace"
    for row in await everything.fetch(mine.format(owner) + " and relkind in ('r', 'p', 'v') and not relispartition"):
        await everything.execute(row[0])
    await everything.close()
    await admin.execute(f"alter role {owner} nosuperuser")
    await admin.execute(f"create role {role} login")
    async with open_pool(dsn, max_size=1) as pool:
        await pool.execute(f"set session authorization {owner}")
        with pytest.raises(ReaderRefused, match="try again with --keep-password"):
            await add_reader(pool, role, verifier())
        assert await add_reader(pool, role, None) == (False, False)
    assert await readable(dsn, role) == VIEWS
    await admin.execute(f"drop database {name} with (force)")
    await admin.execute(f"drop role {owner}")
    await admin.close()


async def nothing(*_: object) -> bool:
    return False


# ---- with a password ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks `grafana` and `owner` for a password, and lets us in as ever."""
    folder = tmp_path_factory.mktemp("asking").resolve()
    ours = "peer map=city" if os.geteuid() == 0 else "trust"
    hba = folder / "hba.conf"
    hba.write_text(f"local all grafana,owner scram-sha-256\nlocal all all {ours}\n", "ascii")
    hba.chmod(0o644)
    server = Server(folder, settings(256 * 1024 * 1024) | {"hba_file": str(hba)})
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, server.start()).result()
        yield server
        thread.submit(asyncio.run, server.stop()).result()


async def test_grafana_logs_in_with_its_password_and_is_kept_from_harm(asking: Server, tmp_path: Path) -> None:
    admin = await asyncpg.connect(asking.dsn("postgres"), timeout=10)
    for name in ("anluo", "other_city"):
        await admin.execute(f"create database {name}")
        await migrate(asking.dsn(name))
    (tmp_path / "password").write_text(f"{PASSWORD}\n", "utf-8")
    words = ("readers", "add", "grafana", "--password-file", tmp_path / "password")
    city = {"CITYBRAIN_DATABASE_URL": asking.dsn("anluo")}
    made = await asyncio.to_thread(run, *words, cwd=tmp_path, environment=city)
    assert made.ok().out == "grafana was made and may read the views\n"
    again = await asyncio.to_thread(run, *words, cwd=tmp_path, environment=city)
    assert again.ok().out == "grafana may read the views\n"

    reader = await asyncpg.connect(asking.dsn("anluo"), user="grafana", password=PASSWORD, timeout=10)
    assert await reader.fetchval("select current_user") == "grafana"
    assert await reader.fetchval("show statement_timeout") == "15s"
    assert await reader.fetchval("show max_parallel_workers_per_gather") == "0"
    assert await reader.fetchval("select count(*) from v_window") == 0
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await reader.execute("create temporary table mine (n integer)")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(asking.dsn("anluo"), user="grafana", password=PASSWORD.upper(), timeout=10)
    stranger = await asyncpg.connect(asking.dsn("other_city"), user="grafana", password=PASSWORD, timeout=10)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stranger.fetch("select * from v_window")
    await stranger.close()
    await reader.close()

    listed = await asyncio.to_thread(run, "readers", "list", "--json", cwd=tmp_path, environment=city)
    assert [one["name"] for one in json.loads(listed.ok().out)["items"]] == ["grafana"]
    removed = await asyncio.to_thread(run, "readers", "remove", "grafana", cwd=tmp_path, environment=city)
    assert removed.ok().out == "removed grafana\n"
    printed = await asyncio.to_thread(in_shell, scene("docs/howto/dashboards.md", "reader"), tmp_path, city)
    reader = await asyncpg.connect(asking.dsn("anluo"), user="grafana", password=printed.ok().out.strip(), timeout=10)
    await reader.close()
    await admin.close()
    assert "battery" not in (asking.folder / "postgres.log").read_text("utf-8", "replace")


async def test_a_password_beside_the_address_may_hold_any_sign(asking: Server, tmp_path: Path) -> None:
    """As `docker-compose.yml` gives it: PGPASSWORD, and CITYBRAIN_DATABASE_URL without one."""
    admin = await asyncpg.connect(asking.dsn("postgres"), timeout=10)
    await admin.execute(f"create role owner superuser login password '{SIGNS}'")
    await admin.execute("create database beside owner owner")
    await admin.close()
    city = {"CITYBRAIN_DATABASE_URL": asking.dsn("beside").replace(f"{USER}@", "owner@"), "PGPASSWORD": SIGNS}
    (await asyncio.to_thread(run, "migrate", cwd=tmp_path, environment=city)).ok()
    refused = await asyncio.to_thread(run, "keys", "list", cwd=tmp_path, environment=city | {"PGPASSWORD": "another"})
    assert "password authentication failed" in refused.err


@pytest.mark.parametrize(("words", "complaint"), [
    (("add", "grafana", "--keep-password"), "there is no role grafana"),
    (("remove", "grafana"), "grafana is no reader"),
])  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line(
    database_url: str, tmp_path: Path, words: tuple[str, ...], complaint: str
) -> None:
    ran = run("readers", *words, cwd=tmp_path, environment={"CITYBRAIN_DATABASE_URL": database_url})
    assert ran.code != 0
    assert len(ran.complaint) == 1
    assert complaint in ran.complaint[0]


@pytest.fixture
async def database_url(database: str) -> str:
    return database


@pytest.mark.parametrize("password", ["short", "elevencharac\n", "пароль-пароль"])
def test_a_password_that_cannot_be_kept_is_refused(password: str) -> None:
    with pytest.raises(scram.PasswordRefused, match="at least 12 characters"):
        scram.verifier(password, b"0123456789abcdef")
