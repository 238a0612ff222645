"""`rules check`, and the group that `rules test` belongs to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

import click

from citybrain.city import Mistake, ProfileError
from citybrain.commands.running import json_option
from citybrain.rulebook.model import RuleBook
from citybrain.rulebook.read import rule_book

_OTHERS = MappingProxyType({"test": "rules_test"})  # commands in modules of their own, which start with what they need alone
files_argument = click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))


class _Rules(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_OTHERS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _OTHERS:
            return super().get_command(ctx, cmd_name)
        found = getattr(import_module(f"citybrain.commands.{_OTHERS[cmd_name]}"), cmd_name)
        return found if isinstance(found, click.Command) else None


@click.group(cls=_Rules)
def rules() -> None:
    """Rules as code: check them, test them. Files that name each other's rules are given together."""


@rules.command()
@files_argument
@json_option
def check(files: Sequence[Path], as_json: bool) -> None:
    """Check rules, routes and tests; every mistake is told with file, line, column and field."""
    book = read_book(files, as_json=as_json)
    found = {"rules": len(book.rules), "routes": len(book.routes), "tests": len(book.tests)}
    click.echo(json.dumps(found) if as_json else ", ".join(f"{name} {count}" for name, count in found.items()))


def read_book(files: Sequence[Path], *, as_json: bool = False) -> RuleBook:
    """The book that the files make; mistakes are printed, one a line, and end the command."""
    try:
        return rule_book({str(file): _content(file) for file in files})
    except ProfileError as error:
        for mistake in error.mistakes:
            click.echo(json.dumps(asdict(mistake), ensure_ascii=False) if as_json else str(mistake), err=not as_json)
        raise click.exceptions.Exit(1) from error


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ProfileError([Mistake(str(file), 0, "", f"cannot be read: {error.strerror}")]) from error
