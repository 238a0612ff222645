"""A cluster on this machine: each role a process of its own, over one durable PostgreSQL and a bus. For end-to-end tests.

Everything is kept below one folder, and only what was started here is ended.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from city import City, Ran, eventually, run
from citybrain.city import default_city_folder
from citybrain.store.embedded_process import is_running
from citybrain.store.embedded_server import Server
from citybrain.store.embedded_settings import settings

_MIB = 1024 * 1024
DATABASE = "cluster"


class Role(City):
    """A process of one role, and an HTTP client of it."""

    def __init__(self, root: Path, role: str, key: str, **values: str) -> None:
        root.mkdir()
        super().__init__(root, **values)
        self.role, self.key = role, key

    @property
    def arguments(self) -> list[str]:
        return [self.role, "--port", str(self.port)]

    def pause(self) -> None:
        """SIGSTOP: it hangs, and its connections stay."""
        os.killpg(self._running().pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        os.killpg(self._running().pid, signal.SIGCONT)

    def remove(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.go_on()
        super().remove()


class Cluster:
    """See the module's text. Made by `cluster`. PostgreSQL is set up for a machine with that much `memory`, in bytes."""

    def __init__(self, root: Path, bus: str, memory: int = 512 * _MIB, **values: str) -> None:
        self.root, self.key = root, "admin-" + secrets.token_hex(16)
        (root / "database").mkdir()
        self.server = Server((root / "database").resolve(), settings(memory))
        self.values = {"CITYBRAIN_BUS": bus, **values}
        self.roles: list[Role] = []

    def begin(self, profile: Path | None = None) -> None:
        """The database, its tables, and the profile."""
        wait_for(self.server.start())
        wait_for(self.execute(f"create database {DATABASE}", "postgres"))
        self.values["CITYBRAIN_DATABASE_URL"] = self.server.dsn(DATABASE)
        self.run("migrate").ok()
        self.run("city", "load", profile or default_city_folder()).ok()

    def end(self) -> None:
        """All processes that were started."""
        for role in self.roles:
            role.remove()
        wait_for(self.server.stop())

    def start(self, role: str, **values: str) -> Role:
        """One more process of a role, ready."""
        made = self.add(role, **values)
        made.start()
        return made

    def start_without_waiting(self, role: str, **values: str) -> Role:
        """One more process of a role."""
        made = self.add(role, **values)
        made.launch()
        return made

    def add(self, role: str, **values: str) -> Role:
        """One more process of a role, not started."""
        made = Role(self.root / f"{role}-{len(self.roles)}", role, self.key, **self.values | values)
        self.roles.append(made)
        return made

    def running(self, role: str) -> list[Role]:
        """The processes of a role that have not ended."""
        return [one for one in self.roles if one.role == role and one.process is not None and one.process.poll() is None]

    def run(self, *arguments: str | Path) -> Ran:
        """A command with the cluster's settings."""
        return run(*arguments, cwd=self.root, environment={"CITYBRAIN_ADMIN_KEY": self.key, **self.values})

    def restart_database(self) -> None:
        """SIGKILL for PostgreSQL's main process, and start it again."""
        data = self.root.resolve() / "database" / "postgres"
        number = int((data / "postmaster.pid").read_text().split()[0])
        assert is_running(number, data)
        os.kill(number, signal.SIGKILL)
        assert eventually(lambda: not is_running(number, data))
        wait_for(self._start_again())

    async def _start_again(self) -> None:
        await self.server.stop()  # takes note of the end
        await self.server.start()

    async def execute(self, statement: str, database: str = DATABASE) -> list[Any]:
        """One statement on a connection of its own."""
        connection = await asyncpg.connect(self.server.dsn(database), timeout=10)
        try:
            return list(await connection.fetch(statement, timeout=20))
        finally:
            await connection.close(timeout=5)


@contextmanager
def cluster(root: Path, bus: str = "postgres", profile: Path | None = None, **values: str) -> Iterator[Cluster]:
    """A migrated cluster with a profile, else the shipped city, without roles."""
    made = Cluster(root, bus, **values)
    try:
        made.begin(profile)
        yield made
    finally:
        made.end()


def wait_for(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end in a loop of its own, on a thread of its own: pytest's loop may be there already."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()
