"""`replay` and `simulate`: both only post through the public HTTP API."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console

from citybrain.city import default_city_folder
from citybrain.commands.running import quiet_settings, run
from citybrain.replay.run import ReplayOptions
from citybrain.replay.run import replay as replay_file
from citybrain.replay.timing import parse_shift
from citybrain.simulate.run import SimulateOptions
from citybrain.simulate.run import simulate as simulate_city

_to = click.option("--to", default="http://127.0.0.1:8000", show_default=True, help="The city's address.")
_key = click.option("--key", help="A key that may post; without it CITYBRAIN_ADMIN_KEY is used.")


def _key_or_admin(key: str | None) -> str:
    found = key or quiet_settings().admin_key
    if found is None:
        raise click.UsageError("which key? give --key, or set CITYBRAIN_ADMIN_KEY")
    return found


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@_to
@_key
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="So many times as fast as the file's own clock.")
@click.option("--shift", help="now, or a duration like 7d or -2h: move every event in time.")
@click.option("--map", "map_name", help="How to read a CSV file: a map of the profile's or the shipped maps folder.")
@click.option("--batch", type=click.IntRange(1, 5000), default=500, show_default=True, help="Events in one post.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def replay(
    file: Path, to: str, key: str | None, speed: float | None, shift: str | None, map_name: str | None, batch: int, as_json: bool
) -> None:
    """Post a FILE of events (NDJSON, or CSV through a map), with a progress bar; interrupted, it goes on where it was."""
    settings = quiet_settings()
    folders = tuple(folder / "maps" for folder in (settings.city, default_city_folder()) if folder is not None)
    options = ReplayOptions(
        file=file,
        to=to,
        key=_key_or_admin(key),
        map_name=map_name,
        map_folders=folders,
        shift=None if shift is None else parse_shift(shift),
        speed=speed,
        batch=batch,
    )
    report = run(replay_file(options, console=Console(stderr=True)))
    click.echo(json.dumps(report.to_json(), ensure_ascii=False) if as_json else report.text())


@click.command()
@click.option("--areas", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many unit grids take part.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True, help="Events a second.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True, help="How long.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same city.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    default=Path("simulate-truth.ndjson"),
    show_default=True,
    help="Where to tell the faults.",
)
@click.option("--begin", type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), help="Live then, posted without waiting; without it, now.")
@_to
@_key
def simulate(
    areas: int, rate: float, minutes: float, seed: int, truth: Path, begin: datetime | None, to: str, key: str | None
) -> None:
    """Post a believable city: daily rhythm, faults (told in the truth file), late and repeated posts."""
    options = SimulateOptions(
        areas=areas, rate=rate, minutes=minutes, seed=seed, to=to, key=_key_or_admin(key), truth=truth, begin=begin
    )
    click.echo(run(simulate_city(options, console=Console(stderr=True))).text())
