"""`citybrain postgres`: PostgreSQL's own programs, from the wheel, on the database of an embedded city. They do what they do."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from citybrain.commands.running import quiet_settings, run
from citybrain.store.embedded import database_of, program_environment
from citybrain.store.embedded_programs import programs_folder

PROGRAMS = ("psql", "pg_dump", "pg_restore", "pg_basebackup")


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The folder of an embedded city.")
@click.argument("program", type=click.Choice(PROGRAMS))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def postgres(data: Path, program: str, arguments: tuple[str, ...]) -> None:
    """Run one of PostgreSQL's own programs on the database of an embedded city, which may run meanwhile or not.

    PROGRAM is psql, pg_dump, pg_restore or pg_basebackup, in the version of the city's PostgreSQL; what follows
    it is its own. Its exit code is the command's.
    """
    quiet_settings()

    async def work() -> int:
        async with database_of(data) as dsn:
            return await _until_it_ends((str(programs_folder() / program), *arguments), dsn)

    with _interrupts_left_to_the_program():
        code = run(work())
    if code:
        raise click.exceptions.Exit(code if code > 0 else 128 - code)


async def _until_it_ends(command: Sequence[str], dsn: str) -> int:
    """It has our terminal, and none of our settings, which hold secrets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "CITYBRAIN_"))}
    process = await asyncio.create_subprocess_exec(*command, env=kept | program_environment(dsn))
    return await process.wait()


@contextmanager
def _interrupts_left_to_the_program() -> Iterator[None]:
    """Ctrl-C is heard by both: psql ends its statement by it, and would be left without its server if we ended."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
