"""`citybrain postgres`: PostgreSQL's programs on the database of a folder, whoever made its files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from city import run
from citybrain.store.embedded import embedded_postgres
from embedded_city import ask

SECRETS = {"CITYBRAIN_ADMIN_KEY": "k" * 30, "PGPASSWORD": "of another database", "PGHOST": "elsewhere.example.org"}


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A city's folder whose server has stopped."""
    async with embedded_postgres(tmp_path / "my city") as postgres:
        await ask(postgres.dsn, "create table kept as select 7 as n")
    return tmp_path / "my city"


def psql(folder: Path, *arguments: str) -> tuple[int, str, str]:
    ran = run("postgres", "--data", folder, "psql", "-qAt", *arguments, cwd=folder.parent, environment=SECRETS)
    return ran.code, ran.out, ran.err


async def test_a_program_reaches_the_database_of_a_city_that_runs_and_of_one_that_has_stopped(folder: Path) -> None:
    assert psql(folder, "-c", "select n from kept")[:2] == (0, "7\n")
    async with embedded_postgres(folder):
        assert psql(folder, "-c", "select n from kept")[:2] == (0, "7\n")
    assert not (folder / "postgres" / "postmaster.pid").exists()


async def test_its_exit_code_and_its_words_are_the_program_s_own(folder: Path) -> None:
    code, out, err = psql(folder, "-v", "ON_ERROR_STOP=1", "-c", "select nothing")
    assert (code, out) == (1, "")
    assert 'column "nothing" does not exist' in err
    assert "citybrain:" not in err


async def test_it_sees_none_of_our_secrets(folder: Path) -> None:
    code, out, _ = psql(folder, "-c", r"\! env")
    assert code == 0
    assert "CITYBRAIN_" not in out
    assert "PGPASSWORD" not in out


async def test_what_is_no_client_program_or_no_city_is_refused_in_one_line(folder: Path) -> None:
    for words in (("initdb",), ("../bin/psql",), ()):
        refused = run("postgres", "--data", folder, *words, cwd=folder)
        assert refused.code == 2
        assert len(refused.complaint) == 1
    refused = run("postgres", "--data", folder.parent / "none", "psql", cwd=folder)
    assert refused.code == 1
    assert "holds no city" in refused.complaint[0]


async def test_a_copy_that_root_has_made_belongs_to_the_server_again(folder: Path) -> None:
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("run", "lock"))  # owners are not copied
    (copy / "postgres").chmod(0o700)
    assert psql(copy, "-c", "select n from kept")[:2] == (0, "7\n")
    assert (copy / "postgres").stat().st_uid == (folder / "postgres").stat().st_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server has rules of its own for who may enter")
async def test_a_folder_of_an_earlier_version_lets_root_copy_it(folder: Path) -> None:
    rules = folder / "postgres" / "pg_hba.conf"
    rules.write_text("local all all peer map=city\n", "utf-8")
    arguments = ("pg_basebackup", f"--pgdata={folder.parent}/base/postgres", "--checkpoint=fast")
    (folder.parent / "base").mkdir()
    run("postgres", "--data", folder, *arguments, cwd=folder).ok()
    assert psql(folder.parent / "base", "-c", "select n from kept")[:2] == (0, "7\n")
