"""What OpenAPI says of `POST /v1/events`: the envelope, every type's payload, every answer. Built from the schemas for http."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from citybrain_schemas.envelope import EventEnvelope
from citybrain_schemas.errors import PostAnswer, RejectedItem
from citybrain_schemas.events import EVENT_TYPES

_REF = "#/components/schemas/"
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before posting again."}}


def _answer(text: str, schema: str = "Problem", *, retry: bool = False) -> dict[str, Any]:
    media_type = "application/json" if schema == "PostAnswer" else "application/problem+json"
    content = {media_type: {"schema": {"$ref": _REF + schema}}}
    return {"description": text, "content": content} | ({"headers": _RETRY_AFTER} if retry else {})


def _schemas() -> dict[str, Any]:
    payloads = {one.data for one in EVENT_TYPES.values()}
    models: list[type[BaseModel]] = [EventEnvelope, PostAnswer, RejectedItem, *sorted(payloads, key=lambda model: model.__name__)]
    names, made = models_json_schema([(model, "validation") for model in models], ref_template=_REF + "{model}")
    kinds = [
        {
            "title": name,
            "properties": {"type": {"const": name}, "data": names[one.data, "validation"]},
            **({"required": ["subject"]} if one.sensor else {}),
        }
        for name, one in EVENT_TYPES.items()
    ]
    event = {"allOf": [{"$ref": _REF + "EventEnvelope"}, {"oneOf": kinds}]}
    return {**made["$defs"], "Event": event}


_ONE = {"$ref": _REF + "Event"}
_MANY = {"type": "array", "items": _ONE, "maxItems": 5000}
SCHEMAS = _schemas()
PATHS: dict[str, Any] = {
    "/v1/events": {
        "post": {
            "tags": ["events"],
            "operationId": "post_events",
            "summary": "Post one event or many; needs a key of role ingest or admin",
            "description": "202 means kept. Posting the same event again is safe. CloudEvents binary mode (`ce-*` headers) and "
            "gzip or zstd bodies are understood too; limits are on the inflated size (16 MiB, NDJSON 64 MiB, an event 256 KiB).",
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"anyOf": [_ONE, _MANY]}},
                    "application/cloudevents+json": {"schema": _ONE},
                    "application/cloudevents-batch+json": {"schema": _MANY},
                    "application/x-ndjson": {"schema": {"type": "string", "description": "one event a line"}},
                },
            },
            "responses": {
                "202": _answer("All are kept", "PostAnswer"),
                "207": _answer("Some are kept; the others are listed", "PostAnswer"),
                "400": _answer("The body is not JSON, or its compression is broken"),
                "401": _answer("No key, or one that is wrong, expired or revoked"),
                "403": _answer("The key's role may not post"),
                "413": _answer("Too many events or bytes; `accepted` says how many lines of NDJSON were kept"),
                "415": _answer("Content type, charset or content encoding is not known"),
                "422": _answer("None is kept; `rejected` lists why"),
                "429": _answer("Too much at once", retry=True),
                "503": _answer("The bus cannot be reached now", retry=True),
            },
        }
    }
}
