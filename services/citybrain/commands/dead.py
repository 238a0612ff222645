"""`dead list`, `dead show`, `dead requeue`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from citybrain.bus.port import Record
from citybrain.commands.running import data_option, database, json_option, plain, print_rows, quiet_settings, run
from citybrain.runner import open_bus
from citybrain.store import dead_letters
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC


@click.group()
def dead() -> None:
    """What could not be processed, why, and putting it back."""


@dead.command("list")
@data_option
@json_option
@click.option("--all", "requeued_too", is_flag=True, help="Also those that were put back.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
def list_letters(data: Path | None, as_json: bool, requeued_too: bool, limit: int) -> None:
    """List dead letters, the newest first."""
    settings = quiet_settings()

    async def work() -> list[dict[str, Any]]:
        async with database(data, settings) as pool, pool.acquire() as connection:
            return await dead_letters.list_dead_letters(connection, requeued_too=requeued_too, limit=limit)

    print_rows(run(work()), as_json, _line, "no dead letters")


def _line(row: dict[str, Any]) -> str:
    where = f"{row['topic']}/{row['partition']}@{row['record_offset']}"
    what = f"{row['role']}  {where}  {row['type']}  {row['bytes']} B"
    return f"{row['dead_letter_no']:>6}  {plain(row['seen'])}  {what}  {row['reason']}"


@dead.command()
@click.argument("number", type=int)
@data_option
@json_option
def show(number: int, data: Path | None, as_json: bool) -> None:
    """Show a dead letter with its bytes (those that are no UTF-8 as \\x..)."""
    settings = quiet_settings()

    async def work() -> dead_letters.DeadLetter:
        async with database(data, settings) as pool, pool.acquire() as connection:
            return await dead_letters.dead_letter(connection, number)

    found = asdict(run(work()))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, default=plain))
        return
    for name, value in found.items():
        click.echo(f"{name}: {value if isinstance(value, str | int) else plain(value) if value is not None else '-'}")


@dead.command()
@click.argument("numbers", type=int, nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every one that was not put back yet.")
@data_option
def requeue(numbers: tuple[int, ...], every: bool, data: Path | None) -> None:
    """Put dead letters back on their topic: the stored bytes, unchanged, as new records."""
    settings = quiet_settings()
    if bool(numbers) == every:
        raise click.UsageError("give the numbers of dead letters, or --all")

    async def work() -> int:
        async with (
            database(data, settings) as pool,
            open_bus(pool, settings, Metrics()) as bus,
            pool.acquire() as connection,
        ):
            await bus.partitions(EVENTS_TOPIC)  # who needs the bus hears of one that is away, be there letters or not
            chosen = list(numbers) or await dead_letters.waiting_numbers(connection)
            for number in chosen:
                letter = await dead_letters.dead_letter(connection, number)
                await bus.append(letter.topic, [Record(letter.key, letter.type, letter.value)])
                await dead_letters.requeued(connection, number)
            return len(chosen)

    click.echo(f"put back {run(work())}")
