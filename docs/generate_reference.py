"""Write docs/reference from the code: `python docs/generate_reference.py`. A test compares, so that no page drifts.

Owns the form of those pages; their words are the docstrings, help texts and descriptions in the code. Nothing else runs it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any

import asyncpg
import click

from citybrain.__main__ import cli
from citybrain.openapi import openapi_document
from citybrain.settings import VARIABLES
from citybrain.store.embedded import embedded_postgres
from citybrain.store.migrate import migrate
from citybrain_schemas.event_type import EventType
from citybrain_schemas.events import DOMAINS
from citybrain_schemas.metrics import METRICS

sys.path.insert(0, str(Path(__file__).parent))
import reference_pages

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
EXAMPLES = ROOT / "schemas" / "examples" / "posts"
_MADE = "<!-- Made by docs/generate_reference.py from the code. Do not edit: change the code, run it again. -->"
_SETTINGS = """# Settings

Environment variables, read once at start; a `.env` in the working folder is read too, and the environment wins.
An unknown name that begins with `CITYBRAIN_` is refused with the nearest known one.

{table}"""
_COMMANDS = """# Commands

Every command has `--help`, exits non-zero on failure, and says why on one line of standard error."""
_EVENTS = """# Events

Every type that the city knows, the fields of its `data`, the metrics that it feeds, and a post that the demonstration city
takes as it stands, once its `time` is near now. Every type may also carry `location`, a GeoJSON Point. How to post, and every
answer: [http.md](http.md). Machine-readable forms: `schemas/json`.

*personal*: kept in a table of its own, apart from the rest of the event."""
_METRICS = """# Metrics · 指标

Kept for each asset, its unit grid and every level above, at a minute, an hour and a day.
每个部件、所在单元网格及以上各级区域，均按分钟、小时、日统计。

*kind* says what an asset's `value` is: the mean of a `gauge`, the sum of a `count` or `sum`. *across* says how the values
of an area's subjects combine: `sum` adds them up, `mean` averages them, `max` takes the greatest, `ratio` divides the sum of
numerators by the sum of weights.
*kind* 决定单个部件的 `value`：`gauge` 取平均，`count`、`sum` 取总和。*across* 决定区域如何合并各部件：`sum` 相加，
`mean` 取平均，`max` 取最大，`ratio` 为分子之和除以权重之和。

{table}"""
_HTTP = """# HTTP

Every request but `/healthz`, `/readyz`, `/docs` and `/openapi.json` carries `Authorization: Bearer KEY`. A running city
shows this page as `/docs`, where it can be tried. Errors are problem details (RFC 9457). Lists are
`{"items": […], "next": "…"|null}`; `next` is the `cursor` of the following page."""
_TABLES = """# Tables

## Views for Grafana and analysts

Their names and columns are kept from version to version."""
_COLUMNS = """
select c.relname as relation, c.relkind in ('v') as view, a.attname as name, format_type(a.atttypid, null) as type
  from pg_class c join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('v', 'r', 'p') and not c.relispartition
   and a.attnum > 0 and not a.attisdropped
 order by c.relname collate "C", a.attnum"""
VIEWS = {
    "v_alert": "Every alert with its states, figures and handling.",
    "v_alert_log": "What became of every alert, entry by entry; entries that are not provisional never change.",
    "v_area": "Every version of every area of the profile in force, with its outline as GeoJSON.",
    "v_asset": "The latest event of every asset, for each type that it sends.",
    "v_delivery": "Every webhook: to whom, how it stands, how often it was tried.",
    "v_event": "Every event that is kept, once. Personal fields are not in it.",
    "v_window": "Stored windows of assets and areas. `subject` is null for an area, `source` is set for events without one. "
    "Hours and days appear once they are final; open ones are made by `GET /v1/series` when it is asked.",
}
TABLES = {
    "alert": "Alerts: one row an episode of a rule in a scope, at most one of them live.",
    "alert_log": "What became of an alert, append-only.",
    "alert_progress": "How far ticks were evaluated; its `pass` is what alert compares and swaps.",
    "api_key": "Keys as hashes, their roles, limits and ends.",
    "area": "The areas of the profile, a row a version.",
    "asset_state": "The latest event of an asset and type.",
    "attempt": "Every attempt at a delivery, with the beginning of the answer.",
    "bus_member": "Who reads a topic for a role on the Postgres bus, each until its time is over.",
    "bus_partition": "The next offset of each partition: an append takes its offsets here and holds the row to its commit.",
    "bus_position": "How far a role has read, its watermark, and the five figures of `/v1/status`.",
    "bus_segment": "The records of the bus, many in a row, compressed.",
    "change": "Which minutes a batch or a pass changed, for alert to look at; deleted two minutes later.",
    "change_position": "How far alert has read `change`.",
    "command": "What people asked of alerts: acknowledge, comment, close.",
    "dead_letter": "Records that could not be decoded, byte for byte, with the reason and the offset.",
    "delivery": "Webhooks: the bytes that are signed, the id of all attempts, and where it stands. Heartbeats have a `tick`.",
    "dirty": "What rollup has to make anew: minutes of areas, and hours and days above them.",
    "dirty_later": "Hours and days to make, with the moment from which they are due.",
    "endpoint": "Receivers of webhooks.",
    "endpoint_health": "How each receiver does of late, and its breaker.",
    "endpoint_secret": "The secrets that sign; while one is being replaced, both.",
    "event": "Every event, once; cut by month of event time.",
    "event_conflict": "Events whose identity was already taken by another content. Never counted.",
    "event_identity": "`(source, id)` of events with their fingerprint: what counts each of them once.",
    "event_personal": "The fields about a person, apart from `event`.",
    "identity_horizon": "Up to which event time identities may have been forgotten.",
    "intent": "Transitions that somebody may want to hear of, and what became of that: sent, or the reason why not.",
    "lease": "Who runs which shard of the rollup, alert and notification, each with a fence.",
    "metric": "Every metric with unit and kind, for the views.",
    "metric_window_1d": "Windows of a day of the city's time zone.",
    "metric_window_1h": "Windows of an hour.",
    "metric_window_1m": "Windows of a minute; cut by month.",
    "migration": "The migrations that this database has had.",
    "notification_group": "Alerts that are told together, and when next.",
    "notified": "What a group has last told of an alert.",
    "paired_reading": "Readings that mean something only beside their neighbour: registers, starts and ends of parking.",
    "pipeline_gap": "Stretches without a heartbeat: our own downtime.",
    "profile": "Every profile that was ever loaded.",
    "profile_file": "Its files, byte for byte.",
    "rollup_shard": "Up to which moment each shard of the rollup has made its minutes, and its hours and days.",
    "rollup_state": "Up to which moment minutes are complete, and hours and days are stored.",
    "rule_scope": "Where a rule stands for a scope that is not simply quiet.",
    "rule_set": "Every rule set that was ever in force, with its text.",
    "series": "A number for each metric of an area, an asset or a source.",
    "silence": "Silences: what they match, from when to when, by whom and why.",
    "source": "A number for each source.",
    "stream": "Entries of alerts' logs, numbered in the order in which they can be seen; kept for a day.",
    "stream_waiting": "Those that have no number yet.",
}


def pages(dsn: str) -> dict[str, str]:
    """Every page by file name. `dsn` reaches a database with this version's tables."""
    found = {
        "commands.md": _commands(),
        "errors.md": reference_pages.errors(table),
        "events.md": _events(),
        "http.md": _http(),
        "log.md": reference_pages.log_lines(table),
        "metrics.md": _metrics(),
        "settings.md": _settings(),
        "tables.md": asyncio.run(_tables(dsn)),
        "telemetry.md": reference_pages.telemetry(table),
        "webhooks.md": reference_pages.webhooks(table),
    }
    return {name: f"{_MADE}\n\n{text.strip()}\n" for name, text in found.items()}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [list(head), ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def settings_table() -> str:
    """Every setting."""
    return table(("variable", "meaning"), ((f"`{name}`", meaning) for name, meaning in sorted(VARIABLES.items())))


# ---- settings, commands -------------------------------------------------------------------------------------------------


def _settings() -> str:
    return _SETTINGS.format(table=settings_table())


def _commands() -> str:
    parts = [_COMMANDS]
    for path, command in sorted(_leaves(cli, ("citybrain",))):
        parts += [f"## {' '.join(path)}", cleandoc(command.help or "").replace("\b", "").strip()]
        rows = [row for one in command.params if (row := _parameter(one)) is not None]
        if rows:
            parts.append(table(("option", "meaning", "default"), rows))
    return "\n\n".join(parts)


def _leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        one = command.get_command(context, name)
        if one is not None:
            yield from _leaves(one, (*path, name))


def _parameter(one: click.Parameter) -> tuple[str, str, str] | None:
    kind = one.type
    if isinstance(one, click.Argument):
        return f"`{(one.metavar or one.name or '').upper()}`", "", "required" if one.required else ""
    if not isinstance(one, click.Option) or one.hidden:
        return None
    choices: list[str] = (
        list(map(str, kind.choices)) if isinstance(kind, click.Choice) else [kind.name.upper().removesuffix(" RANGE")]
    )
    value = "" if one.is_flag else " " + "|".join(choices)
    told = one.show_default and isinstance(one.default, int | str)
    return f"`{one.opts[0]}{value}`", one.help or "", "required" if one.required else f"`{one.default}`" if told else ""


# ---- events, metrics ----------------------------------------------------------------------------------------------------


def _events() -> str:
    parts = [_EVENTS]
    for domain in DOMAINS:
        parts.append(f"## {domain.name.capitalize()}")
        for one in domain.types:
            parts += _event(one)
    return "\n\n".join(parts)


def _event(one: EventType) -> list[str]:
    example = (EXAMPLES / f"{one.name}.json").read_text("utf-8").strip()
    schema = one.data.model_json_schema()
    required = schema.get("required", [])
    rows = [
        (
            f"`{name}`",
            _form(field, schema),
            ", ".join(["required"] * (name in required) + ["personal"] * bool(field.get("personal"))),
        )
        for name, field in schema["properties"].items()
        if name != "location" or name in required
    ]
    about = " ".join((one.data.__doc__ or "").split())
    subject = "Needs a `subject`, and makes an asset of it." if one.sensor else "`subject` may be left out."
    feeds = ", ".join(f"`{name}` ({METRICS[name].unit})" for name in one.metrics) or "none"
    parts = [f"### {one.name}", f"{about} {subject}", f"Feeds: {feeds}."]
    if rows:
        parts.append(table(("field", "form", ""), rows))
    extra = sorted(EXAMPLES.glob(f"{one.name}.*.json"))
    others = [path for path in extra if path.stem not in {kind.name for domain in DOMAINS for kind in domain.types}]
    bodies = [example, *(path.read_text("utf-8").strip() for path in others)]
    return [*parts, *(f"```json\n{_short(body)}\n```" for body in bodies)]


def _short(body: str) -> str:
    """An event on as many lines as it has parts that matter: the envelope, then data."""
    event = json.loads(body)
    data = event.pop("data")
    envelope = json.dumps(event, ensure_ascii=False)[:-1]
    return f'{envelope},\n "data": {json.dumps(data, ensure_ascii=False)}}}'


def _form(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """The form of a field in words."""
    if "anyOf" in field:
        return " or ".join(_form(one, schema) for one in field["anyOf"] if one.get("type") != "null")
    if "$ref" in field:
        field = schema["$defs"][field["$ref"].rpartition("/")[2]]
    values = [field["const"]] if "const" in field else field.get("enum", [])
    if values:
        return ", ".join(f"`{value}`" for value in values)
    match field["type"]:
        case "string":
            return f"text, up to {field['maxLength']:,} characters"
        case "integer" | "number" as kind:
            return f"{'whole number' if kind == 'integer' else 'number'}, {field['minimum']:,} to {field['maximum']:,}"
        case "array":
            return f"list of {_form(field['items'], schema)}"
        case other:
            return {"boolean": "`true`, `false`", "object": "GeoJSON Point"}[other]


def _metrics() -> str:
    feeders: dict[str, list[str]] = {}
    for domain in DOMAINS:
        for one in domain.types:
            for name in one.metrics:
                feeders.setdefault(name, []).append(one.name)
    rows = [
        (f"`{one.name}`", one.unit, one.en, one.zh, one.kind, one.across, ", ".join(f"`{name}`" for name in feeders[one.name]))
        for one in METRICS.values()
    ]
    return _METRICS.format(table=table(("metric", "unit", "en", "zh", "kind", "across", "from"), rows))


# ---- HTTP, tables -------------------------------------------------------------------------------------------------------


def _http() -> str:
    document = openapi_document()
    parts = [_HTTP]
    for path, operations in sorted(document["paths"].items()):
        for method, one in operations.items():
            parts += _operation(method, path, one)
    return "\n\n".join(parts)


def _operation(method: str, path: str, one: dict[str, Any]) -> list[str]:
    parts = [f"## {method.upper()} {path}", one.get("summary", "")]
    if one.get("description"):
        parts.append(one["description"].strip())
    kinds = one.get("requestBody", {}).get("content", {})
    if kinds:
        parts.append("Bodies: " + ", ".join(f"`{kind}`" for kind in kinds) + ".")
    rows = [
        (f"`{given['name']}`", _words(given), "required" if given.get("required") else _default(given))
        for given in one.get("parameters", [])
    ]
    if rows:
        parts.append(table(("parameter", "meaning", ""), rows))
    told = {status: found.get("description", "") for status, found in one["responses"].items()}
    answers = [f"{status} {'' if text == 'Successful Response' else text}".strip() for status, text in told.items()]
    parts.append("Answers: " + " · ".join(answers) + ".")
    return parts


def _words(given: dict[str, Any]) -> str:
    schema = given.get("schema", {})
    choices: list[str] = next((one["enum"] for one in [schema, *schema.get("anyOf", [])] if "enum" in one), [])
    return "; ".join(filter(None, (given.get("description", ""), ", ".join(f"`{choice}`" for choice in choices))))


def _default(given: dict[str, Any]) -> str:
    default = given.get("schema", {}).get("default")
    return "" if default is None else f"default `{json.dumps(default)}`"


async def _tables(dsn: str) -> str:
    connection = await asyncpg.connect(dsn, timeout=20)
    try:
        rows = await connection.fetch(_COLUMNS)
    finally:
        await connection.close(timeout=5)
    columns: dict[tuple[bool, str], list[tuple[str, str]]] = {}
    for row in rows:
        columns.setdefault((row["view"], row["relation"]), []).append((f"`{row['name']}`", row["type"]))
    parts = [_TABLES]
    for (view, name), found in columns.items():
        if view:
            parts += [f"### {name}", VIEWS[name], table(("column", "type"), found)]
    parts += ["## Tables behind them", "They may change with any version; `services/citybrain/store/migrations` makes them."]
    parts.append(table(("table", "holds"), ((f"`{name}`", TABLES[name]) for view, name in columns if not view)))
    return "\n\n".join(parts)


# ---- as a program -------------------------------------------------------------------------------------------------------


async def _with_database(folder: Path) -> dict[str, str]:
    async with embedded_postgres(folder) as postgres:
        await migrate(postgres.dsn)
        return await asyncio.to_thread(pages, postgres.dsn)


def main() -> None:
    """Write every page."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_with_database(Path(folder) / "city"))
    FOLDER.mkdir(exist_ok=True)
    for name, text in found.items():
        (FOLDER / name).write_text(text, "utf-8")
    sys.stdout.write(f"wrote {len(found)} pages to {FOLDER.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
