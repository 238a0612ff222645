"""`city check` and `city load`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from citybrain.city import ProfileError
from citybrain.commands.running import data_option, database, json_option, quiet_settings, run
from citybrain.endpoints.addresses import Policy
from citybrain.profiles import load, parse_rules, read_city

_folder = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))


@click.group()
def city() -> None:
    """The city profile: areas, roster, calendar, settings, rules, endpoints."""


@city.command()
@_folder
@json_option
def check(folder: Path, as_json: bool) -> None:
    """Check a profile; every mistake is told with file, line and field."""
    try:
        files, found = read_city(folder)
    except ProfileError as error:
        for mistake in error.mistakes:
            click.echo(json.dumps(asdict(mistake), ensure_ascii=False) if as_json else str(mistake), err=not as_json)
        raise click.exceptions.Exit(1) from error
    summary = {
        "name": found.settings.name.en,
        "version": found.version,
        "areas": len(found.areas.versions),
        "assets": len(found.roster.lines),
        "rules": len(parse_rules(files).book.rules),
        "timezone": found.settings.zone.key,
    }
    click.echo(json.dumps(summary) if as_json else ", ".join(f"{name} {value}" for name, value in summary.items()))


@city.command("load")
@_folder
@data_option
@click.option("--rebuild", is_flag=True, help="Make everything derived anew, as after a change of the time zone or of parents.")
def load_profile(folder: Path, data: Path | None, rebuild: bool) -> None:
    """Check a profile and make it the current one of a city; running roles take it up within seconds."""
    settings = quiet_settings()

    async def work() -> bool:
        files, found = read_city(folder)
        async with database(data, settings) as pool:
            policy = Policy(settings.delivery_networks, settings.delivery_http)
            return await load(pool, files, found, rebuild=rebuild, policy=policy)

    click.echo("loaded" if run(work()) else "nothing changed: this profile is the current one")
