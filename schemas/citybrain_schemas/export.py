"""JSON Schema of every posted type, topic record, alert and webhook, and the AsyncAPI description of the topic.

Called by `schemas export`. The same code always gives the same bytes: a test compares them with the files in the repository.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaValue

from citybrain_schemas.alerts import AlertWithLog
from citybrain_schemas.envelope import EventEnvelope
from citybrain_schemas.errors import PostAnswer
from citybrain_schemas.event_type import EventType
from citybrain_schemas.events import EVENT_TYPES
from citybrain_schemas.topics import EVENTS_TOPIC, HEARTBEAT_TYPE, TYPE_HEADER, AcceptedEvent, Heartbeat
from citybrain_schemas.webhooks import AlertWebhook, HeartbeatWebhook, TestWebhook

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TOPIC_VERSION = "1.0.0"


def schema_documents() -> dict[str, JsonSchemaValue]:
    """Every document by its path inside the folder."""
    documents = {f"events/{name}.json": _event_schema(kind) for name, kind in EVENT_TYPES.items()}
    documents["envelope.json"] = _schema(EventEnvelope)
    documents["answer.json"] = _schema(PostAnswer)
    documents[f"{EVENTS_TOPIC}/accepted_event.json"] = _schema(AcceptedEvent)
    documents[f"{EVENTS_TOPIC}/heartbeat.json"] = _schema(Heartbeat)
    documents["alert.json"] = _schema(AlertWithLog)
    documents["webhooks/alert.json"] = _schema(AlertWebhook)
    documents["webhooks/endpoint_test.json"] = _schema(TestWebhook)
    documents["webhooks/heartbeat.json"] = _schema(HeartbeatWebhook)
    documents["asyncapi.json"] = _asyncapi()
    return documents


def export_json_schemas(folder: Path) -> list[Path]:
    """Write every document below the folder, and tell which files; others in it are left alone."""
    written = []
    for name, document in sorted(schema_documents().items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        written.append(path)
    return written


def _schema(model: type[BaseModel]) -> JsonSchemaValue:
    return {"$schema": DIALECT, **model.model_json_schema()}


def _event_schema(kind: EventType) -> JsonSchemaValue:
    """The schema of a type's `data`, with what it feeds and whether it needs a subject beside it."""
    return {
        **_schema(kind.data),
        "title": kind.name,
        "x-metrics": list(kind.metrics),
        "x-personal": sorted(kind.personal),
        "x-subject-required": kind.sensor,
    }


def _message(model: type[BaseModel], header: JsonSchemaValue, summary: str) -> JsonSchemaValue:
    headers = {"type": "object", "required": [TYPE_HEADER], "properties": {TYPE_HEADER: header}}
    payload = model.model_json_schema(ref_template=f"#/components/schemas/{model.__name__}/$defs/{{model}}")
    return {
        "message": {
            "name": model.__name__,
            "summary": summary,
            "contentType": "application/json",
            "headers": headers,
            "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        },
        "schema": payload,
    }


def _asyncapi() -> JsonSchemaValue:
    parts = {
        "AcceptedEvent": _message(
            AcceptedEvent, {"type": "string", "enum": sorted(EVENT_TYPES)}, "An event that was accepted and is kept"
        ),
        "Heartbeat": _message(
            Heartbeat, {"type": "string", "const": HEARTBEAT_TYPE}, "Time passes: from every ingest process, every 5 s"
        ),
    }
    channel_messages = [{"$ref": f"#/channels/events/messages/{name}"} for name in parts]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "citybrain events",
            "version": TOPIC_VERSION,
            "description": "What ingest writes for every role and partner. Key: the event's subject, else its source.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": {
                "address": EVENTS_TOPIC,
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in parts},
            }
        },
        "operations": {
            "publishEvents": {
                "action": "send",
                "channel": {"$ref": "#/channels/events"},
                "summary": "ingest appends accepted events and heartbeats",
                "messages": channel_messages,
            }
        },
        "components": {
            "messages": {name: part["message"] for name, part in parts.items()},
            "schemas": {name: part["schema"] for name, part in parts.items()},
        },
    }
