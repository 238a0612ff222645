"""Which duty desks the rule book names, and their endpoints in the city, made over its public API. Called by play."""

from __future__ import annotations

from pathlib import Path

from citybrain.city import read_rule_files
from citybrain.client.http import CityClient
from citybrain.demo.figures import all_items
from citybrain.demo.receiver import PATH, Receiver
from citybrain.rulebook.read import rule_book

DEFAULT = "demo-desk"  # for what no route matches
OWN = "http://127.0.0.1:"


def desks_of(folder: Path) -> list[str]:
    """The endpoints that the routes of a profile name. Raises ProfileError."""
    files = {
        name: bytes(content) for name, content in read_rule_files(folder, []).items() if name.endswith(".yaml") and "/" in name
    }
    routes = rule_book(files).routes
    return sorted({name for route in routes for name in (*route.to, *(to for one in route.escalate for to in one.to))})


async def open_desks(client: CityClient, names: list[str], receiver: Receiver) -> None:
    """Endpoints of these names that lead to the receiver. Those of the demo before are moved; what is somebody's own stays."""
    there = {str(one["name"]): one for one in await all_items(client, "/v1/endpoints", {})}
    for name in [*names, DEFAULT]:
        url, one = receiver.url(name), there.get(name)
        if one is None:
            new = {"name": name, "url": url, "secret": receiver.secret, "default": name == DEFAULT}
            await client.send("POST", "/v1/endpoints", new)
        elif one["made_by"] == "api" and str(one["url"]).startswith(OWN) and PATH in str(one["url"]):
            await client.send("PATCH", f"/v1/endpoints/{one['id']}", {"url": url, "secret": receiver.secret, "disabled": False})
