"""An embedded PostgreSQL in a process of its own that a test can kill, and questions to ask it. Used by tests of embedded."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg

_PROGRAM = """
import asyncio, sys
from pathlib import Path
from citybrain.errors import CitybrainError
from citybrain.store.embedded import embedded_postgres

async def hold(folder):
    async with embedded_postgres(folder) as postgres:
        print(postgres.dsn, flush=True)
        await asyncio.to_thread(sys.stdin.read)

try:
    asyncio.run(hold(Path(sys.argv[1])))
except CitybrainError as error:
    sys.exit(str(error))
"""
# What root may do in a container that was started without options.
CONTAINER_ROOT = (*("setpriv", "--bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap", "--"),)


def acting_as(user_id: int) -> tuple[str, ...]:
    """What makes a command another user's who can read everything (the interpreter may lie below root's home)."""
    account = pwd.getpwuid(user_id)
    return (
        *("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"),
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup", "--"),
    )


def ordinary_user() -> tuple[str, ...]:
    """What makes a command an ordinary user's."""
    return acting_as(pwd.getpwnam("nobody").pw_uid) if os.geteuid() == 0 else ()


def give_to_ordinary_user(folder: Path) -> None:
    """Let the ordinary user own a folder."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)


@asynccontextmanager
async def city_process(folder: Path, prefix: tuple[str, ...] = ()) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that starts a city's PostgreSQL and keeps it until its standard input ends; its group dies at the end."""
    process = await asyncio.create_subprocess_exec(
        *(*prefix, sys.executable, "-c", _PROGRAM, str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def started(process: asyncio.subprocess.Process) -> str:
    """Wait until it is up: its dsn, or "" when it gave up."""
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def complaint(process: asyncio.subprocess.Process) -> str:
    """What it says on standard error, to its end."""
    assert process.stderr is not None
    return (await process.stderr.read()).decode().strip()


async def ask(dsn: str, question: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def ask_until_answered(dsn: str, question: str) -> object:
    async with asyncio.timeout(15):
        while True:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                return await ask(dsn, question)
            await asyncio.sleep(0.05)


def server_process_id(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


async def cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
