"""Reads the dashboards of deploy/grafana as Grafana would: their panels, and their SQL with macros and variables filled in.

`expand` knows exactly the macros that our queries use, written as Grafana's PostgreSQL data source writes them, and refuses any
other. Used by the tests of dashboards and by docs/draw_dashboards.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
AREA_LEVELS = ("city", "district", "street", "community", "grid")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person has chosen: the range of time and the variables."""

    begin: datetime
    end: datetime
    chosen: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shown:
    """A panel of a file."""

    file: str
    panel: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.file}: {self.panel['title']}"

    @property
    def sql(self) -> list[str]:
        return [target["rawSql"] for target in self.panel["targets"] if "rawSql" in target]

    @property
    def promql(self) -> list[str]:
        return [target["expr"] for target in self.panel["targets"] if "expr" in target]


def documents() -> dict[str, dict[str, Any]]:
    """Every dashboard by LANGUAGE/NAME.json."""
    return {str(path.relative_to(FOLDER)): json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.rglob("*.json"))}


def panels(language: str = "*") -> Iterator[Shown]:
    """Every panel that is no row."""
    for file, document in documents().items():
        if language in {"*", file.partition("/")[0]}:
            yield from (Shown(file, panel) for panel in document["panels"] if panel["type"] != "row")


def expand(sql: str, asked: Asked) -> str:
    """The text that the data source sends. Raises ValueError for a macro, a variable or a format that we do not use."""
    macros = {
        "$__timeFrom()": f"'{_rfc3339(asked.begin)}'",
        "$__timeTo()": f"'{_rfc3339(asked.end)}'",
        "$__unixEpochFrom()": str(int(asked.begin.timestamp())),
        "$__unixEpochTo()": str(int(asked.end.timestamp())),
    }
    for macro, text in macros.items():
        sql = sql.replace(macro, text)

    def quoted(found: re.Match[str]) -> str:
        if found[1] not in asked.chosen:
            raise ValueError(f"no variable {found[1]}")
        return "'" + asked.chosen[found[1]].replace("'", "''") + "'"

    sql = re.sub(r"\$\{(\w+):sqlstring\}", quoted, sql)
    if left := re.search(r"\$[\w{]+", sql):
        raise ValueError(f"{left[0]} is no macro that is known here")
    return sql


def within(asked: Asked, days: float) -> Asked:
    """The same with a range of so many days."""
    return Asked(asked.end - timedelta(days=days), asked.end, asked.chosen)


def choices(
    city: str, district: str = "-", street: str = "-", community: str = "-", grid: str = "-", **more: str
) -> dict[str, str]:
    """The variables of areas, the hidden one included."""
    levels = dict(zip(AREA_LEVELS, (city, district, street, community, grid), strict=True))
    return levels | {"area": next(code for code in reversed(levels.values()) if code != "-")} | more


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
