"""`state dump` and `state verify`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from citybrain.aggregate.verify import differences
from citybrain.api.state import dump as dump_lines
from citybrain.commands.running import data_option, database, plain, quiet_settings, run
from citybrain.profiles import current_city
from citybrain.store.verify import pending


@click.group()
def state() -> None:
    """What the city knows, in a form that can be compared and checked."""


@state.command()
@data_option
def dump(data: Path | None) -> None:
    """Print the canonical state, one JSON line a row: equal sets of events give equal bytes."""
    settings = quiet_settings()

    async def work() -> None:
        async with database(data, settings) as pool:
            city = await current_city(pool)
            async for line in dump_lines(pool, city()):
                click.echo(line)

    run(work())


@state.command()
@data_option
def verify(data: Path | None) -> None:
    """Make everything derived anew, list every row that differs as a JSON line, and fail if there is one."""
    settings = quiet_settings()

    async def work() -> tuple[int, int]:
        found = 0
        async with database(data, settings) as pool:
            city = await current_city(pool)
            async with pool.acquire() as connection:
                async for one in differences(connection, city()):
                    found += 1
                    click.echo(json.dumps(one._asdict(), ensure_ascii=False, default=plain))
                return found, await pending(connection)

    found, waiting = run(work())
    if found:
        hint = f"; {waiting} rows wait for rollup: try again when it has caught up" if waiting else ""
        raise click.ClickException(f"{found} rows differ from what they are made of{hint}")
    click.echo("every derived row is what its parts give")
