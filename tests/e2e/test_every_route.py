"""Every route is asked what its OpenAPI allows, and what it does not: never a 5xx, never an answer that it does not name."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from places import GRIDS, occupancy
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from city import City
from citybrain.openapi import openapi_document

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
TRIES = 25
SCHEMA = schemathesis.openapi.from_dict(openapi_document()).exclude(path="/v1/stream")  # it does not end by itself
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@schemathesis.serializer("application/x-ndjson")
def ndjson(_: Any, value: Any) -> bytes:
    return str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def seeded(shared_city: City) -> City:
    """Something is there to be found."""
    shared_city.post([occupancy(id=f"seed-{n}", subject=f"lot-{n}", area=GRIDS[n % 4]) for n in range(20)])
    return shared_city


@SCHEMA.parametrize()
@settings(
    max_examples=TRIES, deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_no_route_answers_with_an_error_of_ours_or_with_what_it_does_not_name(case: Any, seeded: City) -> None:
    headers = {"Authorization": f"Bearer {seeded.key}"}
    answer = case.call(base_url=f"http://127.0.0.1:{seeded.port}", headers=headers, timeout=30)
    case.validate_response(answer, checks=CHECKS)
