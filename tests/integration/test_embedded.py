"""The embedded PostgreSQL in one process: a folder, a server, its end, and what stands in the way."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import asyncpg
import pytest

from citybrain.store import embedded_server, embedded_settings
from citybrain.store.embedded import EmbeddedPostgres, NoCity, database_of, embedded_postgres
from citybrain.store.embedded_lock import FolderInUse, FolderUnusable, Holder, folder_lock
from citybrain.store.embedded_programs import ServerFailed
from citybrain.store.embedded_settings import memory_bytes, settings
from embedded_city import ask, ask_until_answered, cancel, server_process_id


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


async def test_new_folder_becomes_a_durable_database_without_a_network(tmp_path: Path) -> None:
    folder = tmp_path / "数 %d"
    async with embedded_postgres(folder) as postgres:
        in_force = {
            name: await ask(postgres.dsn, f"select current_setting('{name}')")
            for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "timezone")
        }
        sort = await ask(postgres.dsn, "select string_agg(x, '' order by x) from (values ('b'), ('B'), ('é')) t (x)")
        encoding = await ask(postgres.dsn, "select current_database() || ' ' || current_setting('server_encoding')")
    assert in_force == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "",
        "timezone": "UTC",
    }
    assert (sort, encoding) == ("Bbé", "citybrain UTF8")
    assert (folder / "postgres").stat().st_mode & 0o777 == 0o700
    assert set(names_in(folder)) - {"run"} == {"lock", "postgres", "postgres.log"}  # run: where the path is short enough


async def test_what_was_written_is_there_after_a_stop(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path) as postgres:
        await ask(postgres.dsn, "create table kept as select 7 as n")
    async with embedded_postgres(tmp_path) as postgres:
        assert await ask(postgres.dsn, "select n from kept") == 7


async def test_second_up_on_a_folder_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "city")
    async with embedded_postgres(tmp_path / "city"):
        for name in ("city", "link"):
            with pytest.raises(FolderInUse) as refusal:
                async with embedded_postgres(tmp_path / name):
                    pass
            line = f"{tmp_path / 'city'} is in use by another citybrain up (process {os.getpid()})"
            assert str(refusal.value) == line


@pytest.mark.parametrize("below", ["", "city", "deep/city"])
async def test_path_at_or_below_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / below
    with pytest.raises(FolderUnusable, match="file") as refusal:
        async with embedded_postgres(folder):
            pass
    assert str(refusal.value).startswith(str(folder))
    assert "\n" not in str(refusal.value)


async def test_cluster_of_another_major_version_is_refused(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path):
        pass
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(FolderUnusable, match=r"made by PostgreSQL 16 and this citybrain brings 18"):
        async with embedded_postgres(tmp_path):
            pass


async def test_folder_named_postgres_without_a_cluster_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "holiday.txt").write_text("mine")
    with pytest.raises(FolderUnusable, match="holds something else than a database"):
        async with embedded_postgres(tmp_path):
            pass
    assert (tmp_path / "postgres" / "holiday.txt").read_text() == "mine"


async def test_half_made_cluster_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    (tmp_path / "postgres.new.abc" / "base").mkdir(parents=True)
    async with embedded_postgres(tmp_path) as postgres:
        assert await ask(postgres.dsn, "select 1") == 1
    assert "postgres.new.abc" not in names_in(tmp_path)


@pytest.mark.parametrize("name", ["d" * 100, "a,b", 'say "hi"'])
async def test_folder_that_no_socket_path_can_name_gets_its_socket_elsewhere(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    async with embedded_postgres(folder) as postgres:
        assert not (folder / "run").exists()
        assert await ask(postgres.dsn, "select 1") == 1
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # the command's shell has another TMPDIR
        async with database_of(folder) as dsn:
            assert dsn == postgres.dsn


async def test_log_is_bounded_and_tells_no_values(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    log.write_bytes(b"x" * (17 * 1024 * 1024))
    async with embedded_postgres(tmp_path) as postgres:
        assert log.stat().st_size < 10_000
        await ask(postgres.dsn, "create table plate (number text primary key)")
        await ask(postgres.dsn, "insert into plate values ('KA-12345')")
        with pytest.raises(asyncpg.UniqueViolationError):
            await ask(postgres.dsn, "insert into plate values ('KA-12345')")
        assert "duplicate key" in log.read_text()
        assert "KA-12345" not in log.read_text()


async def test_log_that_grows_while_the_server_runs_is_emptied(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    async with embedded_postgres(tmp_path) as postgres:
        keeper = asyncio.create_task(postgres.keep_running())
        os.truncate(log, 17 * 1024 * 1024)
        await asyncio.sleep(1)
        assert log.stat().st_size == 0
        await cancel(keeper)


async def test_server_that_cannot_start_tells_the_reason_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with embedded_postgres(tmp_path):
        pass
    (tmp_path / "postgres" / "postgresql.conf").write_text("shared_preload_libraries = 'missing'\n")
    monkeypatch.setattr(embedded_server, "_START_ATTEMPTS", 1)
    with pytest.raises(ServerFailed, match=r'does not start: .*"missing".*postgres\.log') as failure:
        async with embedded_postgres(tmp_path):
            pass
    assert str(tmp_path) in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_small_box_gets_smaller_buffers() -> None:
    sizes = [settings(mib * 1024 * 1024)["shared_buffers"] for mib in (64, 1024, 4096, 8192, 65536)]
    assert sizes == ["16MB", "128MB", "256MB", "512MB", "1024MB"]


def test_a_container_on_a_large_machine_is_a_small_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two, one = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    monkeypatch.setattr(embedded_settings, "_LIMITS", (two, one))
    whole = memory_bytes()
    for file, limit, found in ((two, "max", whole), (two, "4096", 4096), (one, f"{2**63 - 4096}", whole), (one, "8192", 8192)):
        file.write_text(f"{limit}\n", "ascii")
        assert memory_bytes() == found
        file.unlink()


async def test_killed_server_is_restarted_with_everything_committed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with embedded_postgres(tmp_path) as postgres:
        keeper = asyncio.create_task(postgres.keep_running())
        await ask(postgres.dsn, "create table kept (n int)")
        idle = await asyncpg.connect(postgres.dsn)  # a session that was open must not hinder the restart
        for n in range(2):
            await ask(postgres.dsn, f"insert into kept values ({n})")
            os.kill(server_process_id(tmp_path), signal.SIGKILL)
            await asyncio.sleep(0.3)
            assert await ask_until_answered(postgres.dsn, "select count(*) from kept") == n + 1
            async with asyncio.timeout(20):  # the server answers a moment before the keeper says so, and a kill then is not told
                while told(caplog).count("postgres_restarted") <= n:
                    await asyncio.sleep(0.05)
        idle.terminate()
        await cancel(keeper)
    assert told(caplog)[0] == "postgres_died"


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname in {"ERROR", "WARNING"}]


async def test_stop_is_quick_while_clients_work(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path) as postgres:
        busy = await asyncpg.connect(postgres.dsn)
        sleeping = asyncio.create_task(busy.execute("select pg_sleep(60)"))
        await asyncio.sleep(0.1)
        start = time.monotonic()
        await postgres.stop()
        assert time.monotonic() - start < 4
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await sleeping
        busy.terminate()


async def test_stop_of_a_frozen_server_is_bounded(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path) as postgres:
        os.kill(server_process_id(tmp_path), signal.SIGSTOP)
        start = time.monotonic()
        await postgres.stop()
        assert time.monotonic() - start < 8
    async with embedded_postgres(tmp_path) as postgres:
        assert await ask(postgres.dsn, "select 1") == 1


async def test_keep_running_ends_with_stop(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path) as postgres:
        keeper = asyncio.create_task(postgres.keep_running())
        await postgres.stop()
        async with asyncio.timeout(2):
            await keeper
        assert not (tmp_path / "postgres" / "postmaster.pid").exists()


async def test_command_shares_the_server_of_a_running_city(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path) as postgres:
        async with database_of(tmp_path) as dsn:
            assert dsn == postgres.dsn
        assert await ask(postgres.dsn, "select 1") == 1  # the command has left it running


async def test_command_runs_the_server_of_a_stopped_city_for_its_own_time(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path) as postgres:
        await ask(postgres.dsn, "create table kept as select 7 as n")
    async with database_of(tmp_path) as dsn:
        assert await ask(dsn, "select n from kept") == 7
        with pytest.raises(FolderInUse, match=r"is in use by a citybrain command \(process \d+\)"):
            async with embedded_postgres(tmp_path):
                pass
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


async def test_error_in_a_command_is_told_and_frees_the_folder(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path):
        pass
    with pytest.raises(ZeroDivisionError):
        async with database_of(tmp_path):
            raise ZeroDivisionError
    async with embedded_postgres(tmp_path):
        pass


async def test_command_waits_for_another_command(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path):
        pass
    with folder_lock(tmp_path, Holder.COMMAND):
        second = asyncio.create_task(question_of_a_command(tmp_path))
        await asyncio.sleep(0.5)
        assert not second.done()
    assert await second == 1


async def question_of_a_command(folder: Path) -> object:
    async with database_of(folder) as dsn:
        return await ask(dsn, "select 1")


async def test_folder_without_a_city_is_refused_and_left_alone(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NoCity, match="holds no city") as refusal:
            async with database_of(folder):
                pass
        assert str(refusal.value).startswith(str(folder))
    assert names_in(tmp_path) == []


async def test_two_cities_run_side_by_side(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path / "one") as one, embedded_postgres(tmp_path / "two") as two:
        assert isinstance(one, EmbeddedPostgres)
        await ask(one.dsn, "create table only_here ()")
        assert await ask(two.dsn, "select to_regclass('only_here')") is None
