"""The exported OpenAPI document is that of the code."""

from __future__ import annotations

from pathlib import Path

from citybrain.openapi import export_openapi

EXPORTED = Path(__file__).parents[2] / "schemas" / "json" / "openapi.json"


def test_openapi_is_exported_as_the_code_describes_it(tmp_path: Path) -> None:
    assert export_openapi(tmp_path).read_text("utf-8") == EXPORTED.read_text("utf-8"), (
        "run `citybrain schemas export schemas/json`"
    )
