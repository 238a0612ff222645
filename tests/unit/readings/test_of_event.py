"""What a stored event says is what the posted one said: without its personal fields, to the last millionth."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from citybrain.readings import readings_of
from citybrain_schemas.envelope import check_data
from citybrain_schemas.events import EVENT_TYPES
from citybrain_schemas.topics import EVENTS_TOPIC

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples" / EVENTS_TOPIC
RECORDS = sorted(path for path in EXAMPLES.glob("*.json") if path.stem != "heartbeat")


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_data_without_what_is_personal_gives_the_readings_of_the_record(path: Path) -> None:
    record = json.loads(path.read_text("utf-8"), parse_float=Decimal)
    kind = EVENT_TYPES[record["type"]]
    data = check_data(kind, record["data"])
    assert not isinstance(data, list), data
    found = readings_of(kind, data)
    assert isinstance(found, list), found
    assert msgspec.to_builtins(found) == record["readings"]


def test_there_is_a_record_of_every_type_that_has_personal_fields() -> None:
    told = {json.loads(path.read_text("utf-8"))["type"] for path in RECORDS if "personal" in path.read_text("utf-8")}
    assert told == {name for name, kind in EVENT_TYPES.items() if kind.personal}
