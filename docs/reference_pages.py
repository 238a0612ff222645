"""Pages of docs/reference about what a running city says: telemetry, webhooks, log lines, errors. Used by generate_reference.py.

Their words are docstrings, help texts and names in the code; log lines are read from the source. Nothing here runs a city.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import citybrain
from citybrain.errors import CitybrainError
from citybrain.telemetry import Metrics
from citybrain_schemas.alerts import Alert
from citybrain_schemas.errors import RejectCode
from citybrain_schemas.webhooks import AlertData, AlertWebhook, Group, TestWebhook

ROOT = Path(__file__).resolve().parent.parent
REJECTED = {
    RejectCode.INVALID_FIELD: "the attribute or value that `field` names is missing, of the wrong form, or not allowed here",
    RejectCode.OUT_OF_RANGE: "a number is beyond ±10⁹, in the unit posted or in the metric's own",
    RejectCode.UNKNOWN_TYPE: "the city does not know this type; `detail` may name the nearest",
    RejectCode.UNKNOWN_AREA: "there is no such code, or nothing that places the event",
    RejectCode.FUTURE_TIME: "more than 5 minutes ahead of the server",
    RejectCode.TOO_OLD: "older than the city's `horizon_days`",
    RejectCode.NOT_JSON: "the item, or the line, is not JSON",
    RejectCode.TOO_LARGE: "the item is over 256 KiB, or deeper than 32 levels",
    RejectCode.FORBIDDEN_SOURCE: "the key may not post for this source",
    RejectCode.FORBIDDEN_AREA: "the key may not post for this area",
}
Table = Callable[[Sequence[str], Iterable[Sequence[str]]], str]
_TELEMETRY = """# Telemetry

What every process says of itself at `GET /metrics`, in Prometheus' format: with a key of role `viewer` or more. What a
process does not do stays 0 there. Labels have few, fixed values: never an area, an asset or a key. What to do with them:
[operate](../howto/operate.md)."""
_WEBHOOKS = """# Webhooks

The body of a webhook in the format `citybrain`; JSON Schema: `schemas/json/webhooks`, whole examples:
`schemas/examples/webhooks`. How to receive one: [receive a webhook](../howto/receive-a-webhook.md). Fields are added from
version to version, never taken away.

| header | holds |
| --- | --- |
| `webhook-id` | the same in every attempt: take each once |
| `webhook-timestamp` | when this attempt was signed, in seconds since 1970 |
| `webhook-signature` | `v1,` and a base64 HMAC-SHA256 of `id.timestamp.body`; two of them while a secret is changed |"""
_LOG = """# Log lines

A line of JSON on standard error: `event` is the constant name, `level` and `time` are always there, `error` and a traceback
where something unforeseen went wrong. No line holds payloads, plates, phones or keys. Fields are those that the code gives."""
_ERRORS = """# Errors

A command that fails says one line on standard error and exits with 1 (2 when it was called wrongly). The text is made where
it went wrong; these are the kinds. *Again*: the same may work later, so roles try again, and HTTP answers 503 with
`Retry-After`.

{kinds}

## Answers of HTTP

A problem object (RFC 9457) with `type`, `title`, `status` and `detail`, for 422 of reading routes with `errors`. Which route
gives which: [HTTP](http.md).

## Why an event is refused

`code` of a rejected item; what to do about each: [post events](../howto/post-events.md).

{codes}"""


def telemetry(table: Table) -> str:
    """Every metric of the process itself."""
    registry = Metrics().registry
    collectors = registry._names_to_collectors  # noqa: SLF001 - the library has no other way to ask for labels
    rows = []
    for metric in registry.collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        labels = getattr(collectors.get(metric.name), "_labelnames", ())
        rows.append((f"`{name}`", metric.type, ", ".join(f"`{one}`" for one in labels), metric.documentation))
    return f"{_TELEMETRY}\n\n{table(('metric', 'type', 'labels', 'meaning'), sorted(rows))}"


def webhooks(table: Table) -> str:
    """Types, fields and an example."""
    parts = [_WEBHOOKS]
    models = {"The message": AlertWebhook, "data": AlertData, "data.group": Group, "An alert": Alert, "A test": TestWebhook}
    for name, model in models.items():
        parts += [f"## {name}", " ".join((model.__doc__ or "").split()), table(("field", "form", "meaning"), _fields(model))]
    example = json.loads((ROOT / "schemas" / "examples" / "webhooks" / "alert.firing.json").read_text("utf-8"))
    return "\n\n".join([*parts, "## An example", f"```json\n{json.dumps(example, ensure_ascii=False, indent=1)}\n```"])


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    schema = model.model_json_schema()
    for name, field in schema["properties"].items():
        yield f"`{name}`", _form(field), field.get("description", "").replace("\n", " ")


def _form(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2].lower()
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_form(one) for one in field["anyOf"]))
    if "const" in field or "enum" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    kind = field.get("type", "any")
    if kind == "array":
        return f"list of {_form(field.get('items', {}))}"
    return {"object": "object", "string": field.get("format", "text"), "null": "null"}.get(kind, str(kind))


def log_lines(table: Table) -> str:
    """Every call of a logger with a constant name, with the fields that it is given."""
    found: dict[str, tuple[set[str], set[str], set[str]]] = {}
    package = Path(citybrain.__file__).parent
    for path in sorted(package.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and (line := _line(call)) is not None:
                level, event = line
                levels, fields, places = found.setdefault(event, (set(), set(), set()))
                levels.add(level)
                fields |= _given(call)
                places.add(path.relative_to(package).with_suffix("").as_posix())
    listed = (
        (f"`{event}`", ", ".join(sorted(levels)), ", ".join(f"`{one}`" for one in sorted(fields)), ", ".join(sorted(places)))
        for event, (levels, fields, places) in sorted(found.items())
    )
    return f"{_LOG}\n\n{table(('event', 'level', 'fields', 'said by'), listed)}"


def _line(call: ast.Call) -> tuple[str, str] | None:
    """Level and name, of `_log.warning("name", …)` and of `note_failure(_log, "name", …)`."""
    constants = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    match call.func:
        case ast.Attribute(value=ast.Name(id="_log"), attr=level) if constants:
            return {"exception": "error"}.get(level, level), constants[0]
        case ast.Name(id="note_failure") if constants:
            return "warning", constants[0]
    return None


def _given(call: ast.Call) -> set[str]:
    if isinstance(call.func, ast.Name):
        return {"reason"}
    for one in call.keywords:
        if one.arg == "extra" and isinstance(one.value, ast.Dict):
            return {key.value for key in one.value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return set()


def errors(table: Table) -> str:
    """Every kind of error that a person may meet, and the codes of refused events."""
    for module in pkgutil.walk_packages(citybrain.__path__, "citybrain."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kinds = {one.__name__: one for one in _kinds(CitybrainError) if one.__module__.startswith("citybrain.")}
    rows = (
        (
            f"`{name}`",
            " ".join((one.__doc__ or "").split()),
            "again" if one.retryable else "",
            one.__module__.removeprefix("citybrain."),
        )
        for name, one in sorted(kinds.items())
    )
    codes = table(("code", "means"), ((f"`{code.value}`", REJECTED[code]) for code in RejectCode))
    return _ERRORS.format(kinds=table(("kind", "means", "", "raised by"), rows), codes=codes)


def _kinds(kind: type[CitybrainError]) -> Iterator[type[CitybrainError]]:
    for one in kind.__subclasses__():
        yield one
        yield from _kinds(one)
