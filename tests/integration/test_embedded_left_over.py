"""What a killed process leaves behind, and other users: the next start must take it, or end it, and never mistake it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from citybrain.store import embedded_server
from citybrain.store.embedded import embedded_postgres
from citybrain.store.embedded_process import exists, is_running
from citybrain.store.embedded_programs import ServerFailed
from citybrain.store.embedded_settings import settings
from embedded_city import (
    CONTAINER_ROOT,
    acting_as,
    ask,
    ask_until_answered,
    cancel,
    city_process,
    complaint,
    give_to_ordinary_user,
    ordinary_user,
    server_process_id,
    started,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="what root's city does, only root can see")


async def kill_a_city(folder: Path) -> int:
    """Let a process make a city in a folder, kill -9 its whole group; the server it leaves behind."""
    async with city_process(folder) as process:
        dsn = await started(process)
        await ask(dsn, "create table kept as select 7 as n")
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    left_over = server_process_id(folder)
    assert is_running(left_over, folder / "postgres")
    return left_over


async def test_left_over_server_is_adopted_kept_running_and_stopped(tmp_path: Path) -> None:
    left_over = await kill_a_city(tmp_path)
    async with embedded_postgres(tmp_path) as postgres:
        assert server_process_id(tmp_path) == left_over
        assert await ask(postgres.dsn, "select n from kept") == 7
        keeper = asyncio.create_task(postgres.keep_running())
        os.kill(left_over, signal.SIGKILL)
        await asyncio.sleep(0.5)
        assert await ask_until_answered(postgres.dsn, "select n from kept") == 7
        await cancel(keeper)
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("name", ["city", "c" * 100])
async def test_left_over_server_with_other_settings_is_started_anew(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    left_over = await kill_a_city(folder)
    monkeypatch.setattr("citybrain.store.embedded.settings", lambda size: settings(size) | {"max_connections": "20"})
    async with embedded_postgres(folder) as postgres:
        assert server_process_id(folder) != left_over
        assert await ask(postgres.dsn, "select current_setting('max_connections')") == "20"
        assert await ask(postgres.dsn, "select n from kept") == 7


async def test_left_over_server_that_does_not_answer_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_over = await kill_a_city(tmp_path)
    os.kill(left_over, signal.SIGSTOP)
    monkeypatch.setattr(embedded_server, "_SILENCE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(embedded_server, "_CONNECT_TIMEOUT_S", 0.5)
    async with embedded_postgres(tmp_path) as postgres:
        assert await ask(postgres.dsn, "select n from kept") == 7
        assert not is_running(left_over, tmp_path / "postgres")


async def test_everything_killed_recovers(tmp_path: Path) -> None:
    left_over = await kill_a_city(tmp_path)
    os.killpg(left_over, signal.SIGKILL)
    async with embedded_postgres(tmp_path) as postgres:
        assert await ask(postgres.dsn, "select n from kept") == 7


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process of PostgreSQL's user that is no server."""
    user = "postgres" if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=user) as process:  # noqa: S607 - the system's
        yield process.pid
        process.kill()


def claim(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")


async def test_process_id_that_is_somebody_elses_now_does_not_confuse(tmp_path: Path, stranger: int) -> None:
    async with embedded_postgres(tmp_path):
        lines = (tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()
    claim(tmp_path / "postgres" / "postmaster.pid", [str(stranger), *lines[1:]])
    claim(Path(lines[4]) / ".s.PGSQL.5432.lock", [str(stranger), *lines[1:]])
    async with embedded_postgres(tmp_path) as postgres:
        assert await ask(postgres.dsn, "select 1") == 1
    assert exists(stranger)


async def test_garbage_in_the_servers_file_does_not_confuse(tmp_path: Path) -> None:
    for text in (None, "", "garbage\n", "-1\n", "99999999999999999999\n", "\x00\xff\n", "1\n", "²\n"):
        if text is not None:
            (tmp_path / "postgres" / "postmaster.pid").write_text(text, "latin-1")
        async with embedded_postgres(tmp_path) as postgres:
            assert await ask(postgres.dsn, "select 1") == 1


async def test_ordinary_user_runs_a_city_and_cannot_use_a_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "others").mkdir(mode=0o500)
    give_to_ordinary_user(tmp_path / "mine")
    async with city_process(tmp_path / "mine", ordinary_user()) as process:
        dsn = await started(process)
        assert await ask(dsn, "select 1") == 1
        process.stdin.close()  # type: ignore[union-attr]
        assert await process.wait() == 0
    for folder, line in (
        (tmp_path / "others", f"{tmp_path / 'others'} is not writable: Permission denied"),
        (tmp_path / "others" / "new", f"{tmp_path / 'others' / 'new'} cannot be made: Permission denied"),
    ):
        async with city_process(folder, ordinary_user()) as process:
            assert await complaint(process) == line
            assert await process.wait() == 1


@as_root
async def test_root_runs_the_city_of_an_ordinary_user_as_that_user(tmp_path: Path) -> None:
    give_to_ordinary_user(tmp_path)
    async with city_process(tmp_path, ordinary_user()) as process:
        await started(process)
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    left_over = server_process_id(tmp_path)
    async with embedded_postgres(tmp_path) as postgres:
        assert server_process_id(tmp_path) == left_over
        assert await ask(postgres.dsn, "select 1") == 1


@as_root
async def test_roots_city_changes_no_folder_above_its_own(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o700)  # noqa: PTH101
    async with embedded_postgres(tmp_path / "city") as postgres:
        assert await ask(postgres.dsn, "select 1") == 1
        assert os.stat(f"/proc/{server_process_id(tmp_path / 'city')}").st_uid != 0  # noqa: PTH116
    above = os.stat(tmp_path)  # noqa: PTH116
    assert (above.st_mode & 0o777, above.st_uid) == (0o700, 0)


@as_root
async def test_other_processes_of_the_servers_user_are_not_let_in(tmp_path: Path) -> None:
    program = "import asyncio, asyncpg, sys; asyncio.run(asyncpg.connect(sys.argv[1]))"
    async with embedded_postgres(tmp_path) as postgres:
        user_id = os.stat(f"/proc/{server_process_id(tmp_path)}").st_uid  # noqa: PTH116
        client = await asyncio.create_subprocess_exec(
            *(*acting_as(user_id), sys.executable, "-c", program, postgres.dsn), stderr=asyncio.subprocess.PIPE
        )
        _, said = await client.communicate()
    assert b'Peer authentication failed for user "citybrain"' in said


@as_root
async def test_root_of_an_ordinary_container_runs_a_city(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o700)  # noqa: PTH101
    async with city_process(tmp_path, CONTAINER_ROOT) as process:
        dsn = await started(process)
        assert dsn, await complaint(process)
        assert await ask(dsn, "select 1") == 1
        process.stdin.close()  # type: ignore[union-attr]
        assert await process.wait() == 0


@as_root
async def test_root_without_setpriv_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerFailed, match="install setpriv"):
        async with embedded_postgres(tmp_path):
            pass
