"""The exported OpenAPI document is that of the code; every answer has an example, and every example its declared form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from citybrain.openapi import export_openapi, openapi_document

EXPORTED = Path(__file__).parents[2] / "schemas" / "json" / "openapi.json"
DOCUMENT = openapi_document()
ANSWERS = [
    (f"{method.upper()} {path}", status, media_type, content)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for status, answer in operation["responses"].items()
    for media_type, content in answer.get("content", {}).items()
    if (path.startswith("/v1/") and status.startswith("2") and path != "/v1/events") or (method == "get" and status == "200")
]


def test_openapi_is_exported_as_the_code_describes_it(tmp_path: Path) -> None:
    assert export_openapi(tmp_path).read_text("utf-8") == EXPORTED.read_text("utf-8"), (
        "run `citybrain schemas export schemas/json`"
    )


@pytest.mark.parametrize(("name", "status", "media_type", "content"), ANSWERS, ids=[one[0] for one in ANSWERS])
def test_every_answer_has_an_example_of_its_form(name: str, status: str, media_type: str, content: dict[str, Any]) -> None:
    if name.endswith(("/healthz", "/readyz")):
        return
    assert "example" in content, (name, status, media_type)
    if media_type.endswith("json") and "schema" in content:
        schema = content["schema"] | {"components": DOCUMENT["components"]}
        jsonschema_rs.validator_for(schema).validate(content["example"])


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_every_operation_says_what_can_go_wrong(path: str) -> None:
    if path in {"/healthz", "/readyz"}:
        return
    for method, operation in DOCUMENT["paths"][path].items():
        assert {"401", "403", "503"} <= operation["responses"].keys(), (method, path)
        for status, answer in operation["responses"].items():
            if status >= "400" and path != "/v1/events":
                assert answer["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        assert operation.get("summary"), (method, path)
