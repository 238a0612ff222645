"""The command `citybrain`. Errors that we know become one line on standard error and a non-zero exit; nothing else does."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import click

from citybrain.errors import CitybrainError

COMMANDS: Mapping[str, str] = MappingProxyType({
    "up": "serve", "ingest": "serve", "aggregate": "serve", "alert": "serve", "deliver": "serve", "api": "serve",
    "migrate": "serve", "city": "city", "rules": "rules", "replay": "play", "simulate": "play", "state": "state",
    "dead": "dead", "keys": "keys", "endpoints": "endpoints", "schemas": "schemas", "doctor": "doctor", "postgres": "postgres",
})  # fmt: skip


class Commands(click.Group):
    """Finds a command in the module of `citybrain.commands` that has it, so that each starts with what it needs alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """None for a name that there is not."""
        if cmd_name not in COMMANDS:
            return None
        found = getattr(import_module(f"citybrain.commands.{COMMANDS[cmd_name]}"), cmd_name)
        return found if isinstance(found, click.Command) else None


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="citybrain")
def cli() -> None:
    """The brain of a city: events in, exact metrics by place out."""


def main() -> None:
    """Run a command; the exit code says whether it did what was asked."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (CitybrainError, ExceptionGroup) as error:
        _fail(_line(error), 1)
    except KeyboardInterrupt:
        sys.exit(130)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _line(error: Exception) -> str:
    """The text of an error of ours; of a group, that of the first one in it."""
    while isinstance(error, ExceptionGroup):
        ours, others = error.split(CitybrainError)
        if others is not None or ours is None:
            raise error
        error = ours.exceptions[0]
    return str(error)


def _fail(text: str, code: int) -> None:
    click.echo("citybrain: " + "; ".join(text.split("\n")), err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
