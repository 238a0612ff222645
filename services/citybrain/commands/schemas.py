"""`schemas export`."""

from __future__ import annotations

from pathlib import Path

import click

from citybrain.openapi import export_openapi
from citybrain_schemas.export import export_json_schemas


@click.group()
def schemas() -> None:
    """The forms of events and answers."""


@schemas.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def export(folder: Path) -> None:
    """Write JSON Schema for every event, AsyncAPI for the topic and OpenAPI for HTTP into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [*export_json_schemas(folder), export_openapi(folder)]
    click.echo(f"wrote {len(written)} files to {folder}")
