"""The command `citybrain`. Errors that we know become one line on standard error and a non-zero exit; nothing else does."""

from __future__ import annotations

import sys

import click

from citybrain.commands.city import city
from citybrain.commands.dead import dead
from citybrain.commands.keys import keys
from citybrain.commands.play import replay, simulate
from citybrain.commands.schemas import schemas
from citybrain.commands.serve import aggregate, api, ingest, migrate, up
from citybrain.commands.state import state
from citybrain.errors import CitybrainError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="citybrain")
def cli() -> None:
    """The brain of a city: events in, exact metrics by place out."""


for _command in (up, ingest, aggregate, api, migrate, city, replay, simulate, state, dead, keys, schemas):
    cli.add_command(_command)


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
