"""What commands share: a loop to run in, the database they are about, and how they print. Used by the other commands."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import uvloop

from citybrain.errors import SettingsError
from citybrain.settings import Settings, read_settings
from citybrain.store.embedded import database_of
from citybrain.store.migrate import require_this_version
from citybrain.store.pool import Pool, open_pool
from citybrain.telemetry import log_as_json

data_option = click.option(
    "--data", type=click.Path(path_type=Path), help="The folder of an embedded city; without it CITYBRAIN_DATABASE_URL is used."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def run(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the coroutine gives
    """Run to the end in a fast loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def quiet_settings() -> Settings:
    """Settings for a command that prints its own result: only errors are logged, and of Kafka's failures it tells itself."""
    settings = read_settings()
    log_as_json("error" if settings.log_level == "info" else settings.log_level)
    if settings.log_level != "debug":
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return settings


@asynccontextmanager
async def database(data: Path | None, settings: Settings) -> AsyncIterator[Pool]:
    """The database of the city that a command is about."""
    if data is not None:
        async with database_of(data) as dsn, open_pool(dsn, max_size=3) as pool:
            await require_this_version(pool)
            yield pool
    elif settings.database_url is not None:
        async with open_pool(settings.database_url, max_size=3) as pool:
            await require_this_version(pool)
            yield pool
    else:
        raise SettingsError("which city? give --data DIR, or set CITYBRAIN_DATABASE_URL")


def print_rows(rows: Iterable[dict[str, Any]], as_json: bool, line: Callable[[dict[str, Any]], str], nothing: str) -> None:
    """A list: JSON, or a line each."""
    found = list(rows)
    if as_json:
        click.echo(json.dumps({"items": found, "next": None}, ensure_ascii=False, default=plain))
        return
    for row in found:
        click.echo(line(row))
    if not found:
        click.echo(nothing)


def plain(value: object) -> str:
    """A value that JSON does not know, as text."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, UUID | Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
