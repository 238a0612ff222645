"""`citybrain doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from citybrain.commands.running import data_option, json_option, quiet_settings, run
from citybrain.doctor import Finding, consult
from citybrain.errors import SettingsError
from citybrain.store.embedded import database_of

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@data_option
@json_option
def doctor(data: Path | None, as_json: bool) -> None:
    """Check what a city needs, and say what to do.

    Settings, database and extension, migrations, clock, profile, keys, bus and topic, and for an embedded city the disk. Changes
    nothing. Exits 1 when something has failed.
    """
    settings = quiet_settings()

    async def work() -> list[Finding]:
        if data is None:
            if settings.database_url is None:
                raise SettingsError("which city? give --data DIR, or set CITYBRAIN_DATABASE_URL")
            return await consult(settings, settings.database_url, None)
        async with database_of(data) as dsn:
            return await consult(settings, dsn, data)

    findings: list[Finding] = run(work())
    if as_json:
        click.echo(json.dumps({"items": [asdict(one) for one in findings], "next": None}, ensure_ascii=False))
    else:
        for one in findings:
            click.echo(f"{click.style(f'{one.state:<5}', fg=_COLOURS[one.state])} {one.check:<11} {one.found}")
            if one.advice:
                click.echo(f"{'':<17} → {one.advice}")
    if any(one.state == "fail" for one in findings):
        raise click.exceptions.Exit(1)
