"""`up`, the roles of a cluster, `migrate`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from citybrain import runner
from citybrain.commands.running import run
from citybrain.errors import SettingsError
from citybrain.settings import read_settings
from citybrain.store.migrate import migrate as bring_up
from citybrain.telemetry import log_as_json

_port = click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="For HTTP, health and metrics."
)
_host = click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The city's folder: made when it is new.")
@_host
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port to listen on.")
@click.option("--demo", is_flag=True, help="Play the shipped samples and show live numbers.")
def up(data: Path, host: str, port: int, demo: bool) -> None:
    """Run the embedded city: every role in one process on one port, with its own PostgreSQL in the folder.

    Ready when GET /readyz is 200. SIGTERM drains and exits 0 within 10 s. After a crash just run it again.
    """
    settings = read_settings()
    log_as_json("warning" if demo and settings.log_level == "info" else settings.log_level)
    if demo and settings.admin_key is None:
        raise SettingsError("--demo needs CITYBRAIN_ADMIN_KEY, the key it plays with; `make demo` makes one")
    run(runner.up(runner.UpOptions(data, host, port, _demo() if demo else None), settings))


def _demo() -> runner.Demo:
    """Needed by --demo alone, and slow to import."""
    played = import_module("citybrain.demo.play")
    return runner.Demo(played.play, played.rules())


_ROLE_HELP = " Configured by the environment; needs CITYBRAIN_DATABASE_URL."


def _role(name: str, text: str) -> click.Command:
    @click.command(name, help=text + _ROLE_HELP)
    @_host
    @_port
    def role(host: str, port: int) -> None:
        settings = read_settings()
        log_as_json(settings.log_level)
        run(runner.run_role(name, host, port, settings))

    return role


ingest = _role("ingest", "Run the role that takes events in over HTTP and puts them on the bus.")


@click.command()
@_host
@_port
@click.option("--until-end", is_flag=True, help="Store and roll up what the topic has now, say how much that was, and exit.")
def aggregate(host: str, port: int, until_end: bool) -> None:
    """Run the role that stores events, counts them once and keeps every window.

    Configured by the environment; needs CITYBRAIN_DATABASE_URL. Start more of it to share the work.
    """
    settings = read_settings()
    log_as_json("warning" if until_end and settings.log_level == "info" else settings.log_level)
    if until_end:
        done = run(runner.aggregate_until_end(settings))
        rolled_up = f"rolled up after {done.rolled_up_s:.1f} s"
        click.echo(
            f"at the end of the topic, {done.records} records from its beginning, after {done.stored_s:.1f} s; {rolled_up}"
        )
    else:
        run(runner.run_role("aggregate", host, port, settings))


alert = _role("alert", "Run the role that judges rules on ticks, keeps alerts and decides who is told. A second one stands by.")
deliver = _role("deliver", "Run the role that sends signed webhooks, again and again until they are taken.")
api = _role("api", "Run the role that answers reading requests.")


@click.command()
def migrate() -> None:
    """Bring the database of CITYBRAIN_DATABASE_URL to this version; safe to run twice and from several hosts at once."""
    settings = read_settings()
    log_as_json(settings.log_level)
    if settings.database_url is None:
        raise SettingsError("`citybrain migrate` needs CITYBRAIN_DATABASE_URL")
    applied = run(bring_up(settings.database_url, settings.storage_chunk))
    click.echo(f"applied {', '.join(applied)}" if applied else "nothing to apply: the database is of this version")
