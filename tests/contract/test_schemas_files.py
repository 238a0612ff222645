"""The files under schemas/ are what the code says: exported schemas, golden posts, golden records of the topic."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from citybrain_schemas.canonical import fingerprint
from citybrain_schemas.envelope import CheckedEvent, check_data, check_event
from citybrain_schemas.event_type import EventData
from citybrain_schemas.events import EVENT_TYPES
from citybrain_schemas.export import export_json_schemas, schema_documents
from citybrain_schemas.readings import micros, quotient_micros
from citybrain_schemas.topics import EVENTS_TOPIC, AcceptedEvent, AcceptedReading, Heartbeat

SCHEMAS = Path(__file__).parents[2] / "schemas"
POSTS = sorted((SCHEMAS / "examples" / "posts").glob("*.json"))
RECORDS = sorted(path for path in (SCHEMAS / "examples" / EVENTS_TOPIC).glob("*.json") if path.stem != "heartbeat")
NOT_OURS = {"openapi.json"}  # written from the HTTP application


def exact(path: Path) -> dict[str, Any]:
    """A file as ingest decodes it: numbers with a point are Decimals."""
    found = json.loads(path.read_text("utf-8"), parse_float=Decimal)
    assert isinstance(found, dict)
    return found


def checked(path: Path) -> CheckedEvent:
    found = check_event(exact(path))
    assert isinstance(found, CheckedEvent), (path.name, found)
    return found


def name_of(path: Path) -> str:
    return path.stem


def test_exported_schemas_have_not_drifted_from_the_code(tmp_path: Path) -> None:
    folder = SCHEMAS / "json"
    written = {path.relative_to(tmp_path): path.read_bytes() for path in export_json_schemas(tmp_path)}
    kept = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.json") if path.name not in NOT_OURS}
    assert sorted(kept) == sorted(written)
    drifted = [str(name) for name, content in written.items() if kept[name] != content]
    assert drifted == [], "run `citybrain schemas export schemas/json`"


def test_every_reference_in_a_schema_leads_somewhere() -> None:
    for name, document in schema_documents().items():
        for reference in set(re.findall(r'"\$ref": "(#[^"]*)"', json.dumps(document))):
            target: Any = document
            for step in reference.removeprefix("#/").split("/"):
                assert step in target, (name, reference)
                target = target[step]


def test_personal_fields_are_marked_in_the_exported_schema() -> None:
    plate = exact(SCHEMAS / "json" / "events" / "parking.violation.json")["properties"]["plate"]
    assert plate["personal"] is True


def test_every_type_has_a_golden_post_and_a_golden_record() -> None:
    for paths in (POSTS, RECORDS):
        assert {exact(path)["type"] for path in paths} == set(EVENT_TYPES)
        assert all(path.stem.startswith(exact(path)["type"]) for path in paths)
    assert [path.name for path in POSTS] == [path.name for path in RECORDS]


@pytest.mark.parametrize("path", POSTS, ids=name_of)
def test_golden_post_is_accepted(path: Path) -> None:
    assert checked(path).type.name == exact(path)["type"]


@pytest.mark.parametrize("path", RECORDS, ids=name_of)
def test_golden_record_is_read_and_written_again_unchanged(path: Path) -> None:
    record = AcceptedEvent.model_validate_json(path.read_bytes())
    assert json.loads(record.model_dump_json(exclude_unset=True)) == json.loads(path.read_bytes())


def test_golden_heartbeat_is_read_and_written_again_unchanged() -> None:
    content = (SCHEMAS / "examples" / EVENTS_TOPIC / "heartbeat.json").read_bytes()
    beat = Heartbeat.model_validate_json(content)
    assert json.loads(beat.model_dump_json()) == json.loads(content)
    assert beat.accepted_at == datetime(2026, 11, 23, 0, 15, 2, tzinfo=UTC)


@pytest.mark.parametrize("path", RECORDS, ids=name_of)
def test_golden_record_is_what_its_post_becomes(path: Path) -> None:
    event, record = checked(SCHEMAS / "examples" / "posts" / path.name), AcceptedEvent.model_validate(exact(path))
    envelope = event.envelope
    assert (record.id, record.source, record.type, record.time) == envelope[:4]
    assert (record.subject, record.extensions) == (envelope.subject, envelope.extensions)
    assert record.data | (record.personal or {}) == envelope.data
    assert set(record.personal or {}) == event.type.personal & set(envelope.data)
    print_of = fingerprint(envelope.type, envelope.time, envelope.subject, envelope.area, envelope.data)
    assert record.fingerprint == print_of.hex()
    assert record.readings == [
        AcceptedReading(
            metric=one.metric,
            micros=quotient_micros(one.numerator or 0, one.weight or 1) if one.value is None else micros(one.value),
            numerator_micros=None if one.numerator is None else micros(one.numerator),
            weight_micros=None if one.weight is None else micros(one.weight),
            chain=one.chain,
            role=one.role,
        )
        for one in event.type.read(event.data)
    ]


@pytest.mark.parametrize("path", RECORDS, ids=name_of)
def test_data_of_a_record_is_valid_without_what_is_personal(path: Path) -> None:
    record = exact(path)
    assert isinstance(check_data(EVENT_TYPES[record["type"]], record["data"]), EventData)


@pytest.mark.parametrize(
    "change",
    [{"time": "2026-11-23T00:15:02"}, {"surprise": 1}, {"fingerprint": "xyz"}, {"readings": [{"metric": "m", "micros": "1"}]}],
)
def test_record_of_another_form_is_refused(change: dict[str, Any]) -> None:
    record = exact(SCHEMAS / "examples" / EVENTS_TOPIC / "parking.occupancy.json")
    with pytest.raises(ValueError, match="validation error"):
        AcceptedEvent.model_validate(record | change)
