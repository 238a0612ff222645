"""The published CloudEvents vectors, made events that this city knows; whatever a vector tests stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from citybrain_schemas.envelope import CheckedEvent, check_event

VECTORS = Path(__file__).parents[1] / "data" / "cloudevents"
BAD_ITEMS = {
    "invalidBatchMixedSpecVersions": [1],
    "invalidBatchContainingInvalidCloudEvent": [0],
    "invalidBatchContainingNonObject": [0],
}


def vectors(name: str) -> list[Any]:
    return [pytest.param(one, id=one["id"]) for one in json.loads((VECTORS / f"{name}.json").read_text("utf-8"))["tests"]]


def made_ours(vector: object) -> object:
    """The vectors lack what the city asks for, and some hold text; those parts are put in, nothing else is touched."""
    if not isinstance(vector, dict):
        return vector
    made = vector | {"data": {"occupied": 1, "capacity": 2}, "area": "610602003001007"}
    if made.get("type") == "io.cloudevents.test":
        made["type"] = "parking.occupancy"
    if made.get("datacontenttype") == "text/plain":
        made["datacontenttype"] = "application/json"
    for name, value in (("time", "2026-11-23T08:15:02+08:00"), ("subject", "vector")):
        if made.get(name) is None:
            made[name] = value
    return made


@pytest.mark.parametrize("vector", vectors("valid-events"))
def test_valid_event_is_taken(vector: dict[str, Any]) -> None:
    assert isinstance(check_event(made_ours(vector["event"])), CheckedEvent)


@pytest.mark.parametrize("vector", vectors("invalid-events"))
def test_invalid_event_is_refused(vector: dict[str, Any]) -> None:
    assert isinstance(check_event(made_ours(vector["event"])), list)


def test_extensions_of_every_kind_are_kept() -> None:
    (vector,) = (one.values[0]["event"] for one in vectors("valid-events") if one.id == "validAllExtensionTypes")
    found = check_event(made_ours(vector))
    assert isinstance(found, CheckedEvent)
    assert found.envelope.extensions == {name: value for name, value in vector.items() if name.startswith("ext")}


@pytest.mark.parametrize("vector", vectors("valid-batches"))
def test_every_item_of_a_valid_batch_is_taken(vector: dict[str, Any]) -> None:
    assert all(isinstance(check_event(made_ours(item)), CheckedEvent) for item in vector["batch"])


@pytest.mark.parametrize("vector", vectors("invalid-batches"))
def test_only_the_bad_items_of_an_invalid_batch_are_refused(vector: dict[str, Any]) -> None:
    found = [check_event(made_ours(item)) for item in vector["batch"]]
    assert [index for index, one in enumerate(found) if isinstance(one, list)] == BAD_ITEMS[vector["id"]]
