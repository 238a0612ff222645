"""Named queries from `sql/*.sql`. A file holds queries, each opened by `-- name: find_key` and a line that says what for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

_MARK = "-- name: "


@cache
def load(family: str) -> Mapping[str, str]:
    """The queries of one file by name. An unknown file raises FileNotFoundError at import time of its user."""
    text = (resources.files("citybrain.store") / "sql" / f"{family}.sql").read_text("utf-8")
    found: dict[str, str] = {}
    for part in text.split(_MARK)[1:]:
        name, _, query = part.partition("\n")
        if name.strip() in found:
            raise ValueError(f"{family}.sql has two queries named {name.strip()}")
        found[name.strip()] = query.strip()
    return MappingProxyType(found)
