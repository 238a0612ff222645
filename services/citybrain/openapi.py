"""The OpenAPI document of the whole API, without a database: the routes are made as runner makes them, and only described.

Called by `schemas export` and the drift test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from citybrain.endpoints.addresses import Policy
from citybrain.runner import Process, web_parts
from citybrain.serving import Readiness
from citybrain.telemetry import Metrics
from citybrain.web.app import create_app


def openapi_document() -> dict[str, Any]:
    """As `/openapi.json` of a running city answers."""
    nothing = cast("Any", None)  # describing a route touches none of these
    process = Process(nothing, nothing, nothing, nothing, nothing, Metrics(), "embedded", nothing, Policy(), "", "", Readiness())
    return create_app(web_parts(process, ("ingest", "api"))).openapi()


def export_openapi(folder: Path) -> Path:
    """Write `openapi.json` into the folder."""
    path = folder / "openapi.json"
    path.write_text(json.dumps(openapi_document(), ensure_ascii=False, indent=2, sort_keys=True) + "\n", "utf-8")
    return path
