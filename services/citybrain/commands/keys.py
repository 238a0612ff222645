"""`keys create`, `keys list`, `keys revoke`, `keys rotate`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from citybrain.access import Role
from citybrain.access.keys import KeyWish, NewKey, create_key, list_keys, revoke_key, rotate_key
from citybrain.commands.running import data_option, database, json_option, plain, print_rows, quiet_settings, run
from citybrain.store.keys import KeyRow, KeyStore


@click.group()
def keys() -> None:
    """Who may do what. A key is printed once and kept as a hash."""


@keys.command()
@click.option("--name", required=True, help="What the key is for; unique.")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
@click.option("--source", "source_prefix", help="A key of role ingest posts only events whose source begins so.")
@click.option("--expires", help="A duration like 90d; without it the key never expires.")
@data_option
@json_option
def create(name: str, role: str, source_prefix: str | None, expires: str | None, data: Path | None, as_json: bool) -> None:
    """Make a key and print it, this once."""
    settings = quiet_settings()

    async def work() -> NewKey:
        async with database(data, settings) as pool:
            return await create_key(KeyStore(pool), KeyWish(name, Role(role), source_prefix, expires), datetime.now(UTC))

    _print_new(run(work()), as_json)


@keys.command("list")
@data_option
@json_option
def list_all(data: Path | None, as_json: bool) -> None:
    """List keys: names and rights, never the keys themselves."""
    settings = quiet_settings()

    async def work() -> list[KeyRow]:
        async with database(data, settings) as pool:
            return await list_keys(KeyStore(pool))

    print_rows([_shown(row) for row in run(work())], as_json, _line, "no keys")


@keys.command()
@click.argument("name_or_id")
@data_option
def revoke(name_or_id: str, data: Path | None) -> None:
    """End a key, by its name or id; within a second nobody gets in with it."""
    settings = quiet_settings()

    async def work() -> KeyRow:
        async with database(data, settings) as pool:
            return await revoke_key(KeyStore(pool), name_or_id)

    click.echo(f"revoked {run(work()).name}")


@keys.command()
@click.argument("name_or_id")
@data_option
@json_option
def rotate(name_or_id: str, data: Path | None, as_json: bool) -> None:
    """Give a key a new secret and print it, this once; the old one ends within a second."""
    settings = quiet_settings()

    async def work() -> NewKey:
        async with database(data, settings) as pool:
            return await rotate_key(KeyStore(pool), name_or_id, datetime.now(UTC))

    _print_new(run(work()), as_json)


def _shown(row: KeyRow) -> dict[str, Any]:
    return row._asdict() if hasattr(row, "_asdict") else asdict(row)


def _print_new(new: NewKey, as_json: bool) -> None:
    click.echo(json.dumps(_shown(new.row) | {"key": new.key}, default=plain) if as_json else new.key)


def _line(row: dict[str, Any]) -> str:
    return "  ".join(
        f"{name} {plain(value) if not isinstance(value, str) else value}" for name, value in row.items() if value is not None
    )
