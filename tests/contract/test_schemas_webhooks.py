"""Golden webhooks: each type has one, which is read and written again unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from citybrain_schemas.alerts import Alert
from citybrain_schemas.webhooks import (
    HEARTBEAT_WEBHOOK_TYPE,
    TEST_TYPE,
    AlertWebhook,
    AlertWebhookType,
    HeartbeatWebhook,
    TestWebhook,
    most_severe_first,
)

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples" / "webhooks"
PATHS = sorted(EXAMPLES.glob("*.json"))
OTHERS: dict[str, type[BaseModel]] = {TEST_TYPE: TestWebhook, HEARTBEAT_WEBHOOK_TYPE: HeartbeatWebhook}


def model_of(path: Path) -> type[BaseModel]:
    return OTHERS.get(path.stem, AlertWebhook)


def test_every_type_of_webhook_has_a_golden_example() -> None:
    assert {path.stem for path in PATHS} == {*get_args(AlertWebhookType), *OTHERS}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_golden_webhook_is_read_and_written_again_unchanged(path: Path) -> None:
    read = model_of(path).model_validate_json(path.read_bytes())
    assert json.loads(read.model_dump_json()) == json.loads(path.read_bytes())
    assert json.loads(path.read_bytes())["type"] == path.stem


def test_webhook_of_another_form_is_refused() -> None:
    body = json.loads((EXAMPLES / "alert.firing.json").read_bytes())
    with pytest.raises(ValidationError):
        AlertWebhook.model_validate(body | {"surprise": 1})
    with pytest.raises(ValidationError):
        AlertWebhook.model_validate(body | {"data": body["data"] | {"alerts": []}})


def test_most_severe_alert_comes_first_then_the_one_that_began_last() -> None:
    body = json.loads((EXAMPLES / "alert.firing.json").read_bytes())
    first = Alert.model_validate(body["data"]["alert"])
    later = first.model_copy(update={"id": "b", "started_at": first.started_at.replace(minute=12)})
    worse = first.model_copy(update={"id": "c", "severity": "critical"})
    assert [one.id for one in most_severe_first([first, later, worse])] == ["c", "b", first.id]
