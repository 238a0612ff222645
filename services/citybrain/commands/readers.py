"""`readers add`, `readers list`, `readers remove`."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import click

from citybrain.commands.running import database, json_option, print_rows, quiet_settings, run
from citybrain.store.readers import Added, add_reader, list_readers, remove_reader
from citybrain.store.scram import verifier


@click.group()
def readers() -> None:
    """Who may read the views with SQL: roles of PostgreSQL for Grafana and analysts, at CITYBRAIN_DATABASE_URL."""


@readers.command()
@click.argument("name")
@click.option(
    "--password-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Holds the password; else one is made."
)
@click.option("--keep-password", is_flag=True, help="The role is there, and keeps its password.")
def add(name: str, password_file: Path | None, keep_password: bool) -> None:
    """Let a role read every view and nothing else; make it if it is not there. A password that is made is printed, this once."""
    if password_file is not None and keep_password:
        raise click.UsageError("--password-file and --keep-password exclude each other")
    given = None if password_file is None else password_file.read_text("utf-8").rstrip("\r\n")
    password = given or secrets.token_urlsafe(24)
    kept = None if keep_password else verifier(password, secrets.token_bytes(16))
    settings = quiet_settings()

    async def work() -> Added:
        async with database(None, settings) as pool:
            return await add_reader(pool, name, kept)

    added: Added = run(work())
    if given is None and not keep_password:
        click.echo(password)
    else:
        click.echo(f"{name} {'was made and ' * added.made}may read the views")
    if not added.limited:
        click.echo(f"an administrator should set limits: `alter role {name} set statement_timeout = '15s'`", err=True)


@readers.command("list")
@json_option
def list_all(as_json: bool) -> None:
    """List who may read the views."""
    settings = quiet_settings()

    async def work() -> list[str]:
        async with database(None, settings) as pool:
            return await list_readers(pool)

    print_rows([{"name": name} for name in run(work())], as_json, _line, "no readers")


@readers.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take the views back from a role, and drop it."""
    settings = quiet_settings()

    async def work() -> None:
        async with database(None, settings) as pool:
            await remove_reader(pool, name)

    run(work())
    click.echo(f"removed {name}")


def _line(row: dict[str, Any]) -> str:
    return str(row["name"])
