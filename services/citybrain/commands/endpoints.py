"""`endpoints add`, `endpoints list`, `endpoints test`, `endpoints resend`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from citybrain.commands.running import data_option, database, json_option, plain, print_rows, quiet_settings, run
from citybrain.endpoints import manage
from citybrain.endpoints.addresses import Policy
from citybrain.endpoints.manage import FORMATS, LANGUAGES, EndpointRefused, Wish
from citybrain.store.endpoints import EndpointRow, list_endpoints

_ALL = 100_000


@click.group()
def endpoints() -> None:
    """Who gets webhooks. A secret is printed once; send it to the people of the receiver."""


@endpoints.command()
@click.option("--name", required=True, help="Unique; routes of the rule book name it.")
@click.option("--url", required=True, help="A public https address, unless CITYBRAIN_DELIVERY_NETWORKS allows others.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="citybrain", show_default=True)
@click.option("--default", "is_default", is_flag=True, help="It gets alerts that match no route.")
@click.option("--language", type=click.Choice(LANGUAGES), default="zh", show_default=True, help="What group robots are told in.")
@click.option("--heartbeat", is_flag=True, help="It gets the heartbeat once a minute: a dead man's switch.")
@click.option("--secret", help="whsec_ and base64 of 24 to 64 bytes; without it one is made.")
@data_option
@json_option
def add(
    name: str,
    url: str,
    format_: str,
    is_default: bool,
    language: str,
    heartbeat: bool,
    secret: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Add a receiver and print the secret that signs, this once."""
    settings = quiet_settings()
    policy = Policy(settings.delivery_networks, settings.delivery_http)
    wish = Wish(name, url, format_, is_default, language, secret, heartbeat)

    async def work() -> tuple[EndpointRow, str]:
        async with database(data, settings) as pool, pool.acquire() as connection:
            return await manage.create(connection, wish, "command", policy)

    row, made = run(work())
    click.echo(json.dumps(_shown(row) | {"secret": made}, ensure_ascii=False, default=plain) if as_json else made)


@endpoints.command("list")
@data_option
@json_option
def list_all(data: Path | None, as_json: bool) -> None:
    """List receivers and how sending to them goes; never their secrets."""
    settings = quiet_settings()

    async def work() -> list[EndpointRow]:
        async with database(data, settings) as pool, pool.acquire() as connection:
            return await list_endpoints(connection, None, _ALL)

    rows = sorted(run(work()), key=lambda row: row.name)
    print_rows([_shown(row) for row in rows], as_json, _line, "no endpoints")


@endpoints.command()
@click.argument("name_or_id")
@data_option
@json_option
def test(name_or_id: str, data: Path | None, as_json: bool) -> None:
    """Send a receiver a webhook of type endpoint.test; a running city does it at once."""
    settings = quiet_settings()

    async def work() -> tuple[UUID, str]:
        async with database(data, settings) as pool, pool.acquire() as connection:
            return await manage.send_test(connection, name_or_id, datetime.now(UTC))

    delivery_id, webhook_id = run(work())
    told = {"id": str(delivery_id), "webhook_id": webhook_id}
    click.echo(json.dumps(told) if as_json else f"delivery {delivery_id} with webhook-id {webhook_id} is on its way")


@endpoints.command()
@click.argument("delivery", type=click.UUID)
@data_option
def resend(delivery: UUID, data: Path | None) -> None:
    """Send a delivery again at once, under its webhook-id; also one that was given up."""
    settings = quiet_settings()

    async def work() -> bool:
        async with database(data, settings) as pool, pool.acquire() as connection:
            return await manage.resend(connection, delivery)

    if not run(work()):
        raise EndpointRefused(f"there is no delivery {delivery}")
    click.echo(f"delivery {delivery} is sent again")


def _shown(row: EndpointRow) -> dict[str, Any]:
    shown = row._asdict()
    return {"id": str(shown.pop("endpoint_id")), "state": "enabled" if row.disabled_at is None else "disabled"} | shown


def _line(row: dict[str, Any]) -> str:
    default = "  default" if row["is_default"] else ""
    heartbeat = "  heartbeat" if row["heartbeat"] else ""
    disabled = f"  disabled: {row['disabled_why']}" if row["disabled_at"] is not None else ""
    return f"{row['name']}  {row['format']}  {row['url']}{default}{heartbeat}  made by {row['made_by']}{disabled}  {row['id']}"
