"""Every route is asked what its OpenAPI allows, and what it does not: never a 5xx, never an answer that it does not name.

Chance seldom meets what is there, so every answer that is documented is asked for by hand, too.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from places import CITY, GRIDS, minutes_ago, occupancy, stamp, write_profile
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from city import City, eventually
from citybrain.openapi import openapi_document

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
TRIES, TRIES_OF_OTHERS = 25, 16
DOCUMENT = openapi_document()
WHOLE = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA = WHOLE.exclude(path="/v1/stream")  # it does not end by itself
ROLES = ("viewer", "operator", "ingest", "nobody")
STRICT = settings(deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate),
                  suppress_health_check=list(HealthCheck))  # fmt: skip
NOT_ASKED_FOR = {"408", "429", "503"}  # of slow clients, floods and dead databases: tests/integration, test_interruptions.py
RULE = {
    "rule": "lot_full", "title": {"en": "Full", "zh": "满"}, "metric": "parking.occupied_ratio", "per": "subject", "window": "1m",
    "when": "last >= 0.95", "severity": "warning",
}  # fmt: skip
SERIES = {
    "metric": "parking.occupied",
    "area": CITY,
    "from": stamp(minutes_ago(120)),
    "to": stamp(minutes_ago(-60)),
    "step": "1m",
}
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@schemathesis.serializer("application/x-ndjson")
def ndjson(_: Any, value: Any) -> bytes:
    return str(value).encode("utf-8", "replace")


@dataclass
class Furnished:
    """A city in which everything is there to be found, and a key of each role."""

    city: City
    keys: dict[str, str] = field(default_factory=dict)
    seen: set[tuple[str, str, str]] = field(default_factory=set)
    turns: Iterator[str] = field(default_factory=lambda: cycle(ROLES))

    def ask(self, method: str, path: str, role: str = "admin", **said: Any) -> Any:
        """Ask one route, and hold its answer against what is documented: parts of `said` are those of schemathesis' Case."""
        headers = self.headers(role) | said.pop("headers", {})
        case = WHOLE[path][method].Case(headers=headers, **said)
        answer = case.call(base_url=self.city.url, timeout=30)
        case.validate_response(answer, checks=list(CHECKS))
        self.seen.add((path, method, str(answer.status_code)))
        return answer

    def headers(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"} if self.keys.get(role) else {}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    root = tmp_path_factory.mktemp("routes")
    profile = write_profile(root / "city", roster=[f"lot-1,parking.occupancy,{GRIDS[0]},1m,2026-01-01"])
    (profile / "rules").mkdir()
    (profile / "rules" / "parking.yaml").write_text(json.dumps({"rules": [RULE]}), "utf-8")
    mine = {"name": "of-profile", "url": "https://duty.example.org/hook", "format": "citybrain"}
    (profile / "endpoints.yaml").write_text(json.dumps({"endpoints": [mine]}), "utf-8")
    with City(root, profile) as city:
        found = Furnished(city, {"admin": city.key, "nobody": ""})
        for role in ("viewer", "operator", "ingest"):
            made = city.on_data("keys", "create", "--name", role, "--role", role).ok()
            found.keys[role] = made.out.strip().splitlines()[-1].split()[-1]
        city.post([occupancy(id=f"seed-{n}", subject=f"lot-{n}", area=GRIDS[n % 4]) for n in range(20)])
        city.post(occupancy(7, id="seed-1", subject="lot-1", area=GRIDS[1]))
        city.post(occupancy(99, id="full", subject="lot-full", time=stamp(minutes_ago(0))))
        assert eventually(lambda: city.get("/v1/alerts", rule="lot_full").json["items"])
        yield found


@SCHEMA.parametrize()
@settings(STRICT, max_examples=TRIES)
def test_no_route_answers_with_an_error_of_ours_or_with_what_it_does_not_name(case: Any, there: Furnished) -> None:
    answer = case.call(base_url=there.city.url, headers=there.headers("admin"), timeout=30)
    case.validate_response(answer, checks=CHECKS)


@SCHEMA.parametrize()
@settings(STRICT, max_examples=TRIES_OF_OTHERS)
def test_whoever_asks_is_answered_as_documented(case: Any, there: Furnished) -> None:
    role = next(there.turns)
    answer = case.call(base_url=there.city.url, headers=there.headers(role), timeout=30)
    case.validate_response(answer, checks=CHECKS)
    posts = (case.method, case.path) == ("POST", "/v1/events")
    free = case.path in {"/healthz", "/readyz"}
    if role == "nobody":
        assert free or answer.status_code in {400, 401, 404, 405, 413, 422}, answer.status_code
    elif not posts and not free and (role == "ingest" or case.method != "GET"):
        allowed = role == "operator" and not case.path.startswith("/v1/endpoints")
        assert allowed or answer.status_code >= 400, (role, answer.status_code)


def test_both_what_is_allowed_and_what_is_not_is_asked() -> None:
    assert set(SCHEMA.config.generation.modes) == {GenerationMode.POSITIVE, GenerationMode.NEGATIVE}
    operations = {(path, method) for path, routes in DOCUMENT["paths"].items() for method in routes}
    asked = {(one.ok().path, one.ok().method) for one in SCHEMA.get_all_operations()}
    assert operations - asked == {("/v1/stream", "get")}


@settings(STRICT, max_examples=60)
@given(
    st.dictionaries(st.sampled_from(["event", "area", "metric", "odd", "limit"]), st.text(max_size=9), max_size=3),
    st.one_of(st.none(), st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
              st.from_regex(r"\A[0-9]{1,20}\.[0-9]{1,20}\Z", fullmatch=True)),
)  # fmt: skip
def test_the_stream_begins_or_says_why_not(there: Furnished, query: dict[str, str], last: str | None) -> None:
    declared = DOCUMENT["paths"]["/v1/stream"]["get"]["responses"]
    path = "/v1/stream?" + "&".join(f"{name}={quote(value, errors='replace')}" for name, value in query.items())
    answer = there.city.send("GET", path, headers={} if last is None else {"Last-Event-ID": last.strip()})
    assert str(answer.status) in declared, (query, last)
    assert answer.headers.get_content_type() in declared[str(answer.status)]["content"]


def test_every_documented_answer_is_given(there: Furnished) -> None:
    """Each (route, status) of the document was met once, and had the form that is declared."""
    ids = _found(there)
    _ask_reading(there, ids)
    _ask_handling(there, ids)
    _ask_endpoints(there)
    _ask_posting(there)
    for role, status in (("nobody", "401"), ("ingest", "403")):
        for path, routes in DOCUMENT["paths"].items():
            for method, operation in routes.items():
                if status in operation["responses"] and path not in {"/v1/stream", "/v1/events"}:
                    _ask_any(there, method, path, role)
    there.ask("get", "/v1/events", "ingest", query={})
    there.ask("get", "/v1/events", "nobody", query={})
    _ask_stream(there)
    documented = {
        (path, method, status)
        for path, routes in DOCUMENT["paths"].items()
        for method, operation in routes.items()
        for status in operation["responses"]
    }
    missing = {one for one in documented - there.seen if one[2] not in NOT_ASKED_FOR}
    assert not missing, sorted(missing)


def _found(there: Furnished) -> dict[str, str]:
    """The id of one resource of each kind."""
    alert = there.city.get("/v1/alerts", rule="lot_full").json["items"][0]["id"]
    made = there.ask("post", "/v1/silences", body={"matchers": {"rule": "x"}, "until": stamp(minutes_ago(-60)), "why": "works"})
    endpoint = there.ask("post", "/v1/endpoints", body={"name": "desk", "url": "https://duty.example.org/hook"}).json()["id"]
    sent = there.ask("post", "/v1/endpoints/{id}/test", path_parameters={"id": endpoint})
    return {"alerts": alert, "silences": made.json()["id"], "endpoints": endpoint, "deliveries": sent.json()["id"]}


def _ask_any(there: Furnished, method: str, path: str, role: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    parts = {one["name"]: "none" for one in operation.get("parameters", ()) if one["in"] == "path"}
    needed = {one["name"]: SERIES.get(one["name"], "x") for one in operation.get("parameters", ()) if one["required"]}
    query = {name: value for name, value in needed.items() if name not in parts}
    body = {"body": {}} if "requestBody" in operation else {}
    there.ask(method, path, role, path_parameters=parts, query=query, **body)


def _ask_reading(there: Furnished, ids: dict[str, str]) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/v1/status", "/v1/areas", "/v1/areas.geojson", "/v1/events", "/v1/conflicts",
                 "/v1/assets", "/v1/alerts", "/v1/silences", "/v1/endpoints", "/v1/deliveries"):  # fmt: skip
        there.ask("get", path)
        if path.startswith("/v1/"):
            there.ask("get", path, query={"odd": "1"})
    for path in ("/v1/events", "/v1/assets", "/v1/alerts"):
        there.ask("get", path, query={"area": "nowhere"})
    for query in (SERIES, SERIES | {"metric": "no.such"}, SERIES | {"step": "7m"}):
        there.ask("get", "/v1/series", query=query)
    for subject, query in (("lot-1", {}), ("none", {}), ("lot-1", {"limit": 0})):
        there.ask("get", "/v1/assets/{subject}/holes", path_parameters={"subject": subject}, query=query)
    _ask_single(
        there, "/v1/event", {"query": {"source": "/parking/gateway-7", "id": "seed-1"}}, {"query": {"source": "x", "id": "y"}}
    )
    there.ask("get", "/v1/event", query={"source": "x"})
    _ask_single(there, "/v1/areas/{code}", {"path_parameters": {"code": CITY}}, {"path_parameters": {"code": "none"}})
    there.ask("get", "/v1/areas/{code}", path_parameters={"code": CITY}, query={"odd": "1"})
    for kind, one in ids.items():
        none = "3f6f2a0e-7a44-4c3e-9a37-6f1c2d5b8e10"
        _ask_single(there, f"/v1/{kind}/{{id}}", {"path_parameters": {"id": one}}, {"path_parameters": {"id": none}})
        there.ask("get", f"/v1/{kind}/{{id}}", path_parameters={"id": one}, query={"odd": "1"})


def _ask_single(there: Furnished, path: str, found: dict[str, Any], none: dict[str, Any]) -> None:
    (tag,) = there.ask("get", path, **found).headers["etag"]
    assert there.ask("get", path, headers={"If-None-Match": f'"other", W/{tag}'}, **found).status_code == 304
    assert there.ask("get", path, **none).status_code == 404


def _ask_written(there: Furnished, method: str, path: str, parts: dict[str, str], wrong: dict[str, Any]) -> None:
    """What every route with a body refuses."""
    there.ask(method, path, path_parameters=parts, body=wrong)
    broken = {"Content-Type": "application/json"} | there.headers("admin")
    case = WHOLE[path][method].Case(path_parameters=parts, headers=broken)
    for body in (b"{", json.dumps({"why": "x" * (1 << 20)}).encode()):
        answer = case.call(base_url=there.city.url, timeout=30, data=body)
        case.validate_response(answer, checks=list(CHECKS))
        there.seen.add((path, method, str(answer.status_code)))


def _ask_handling(there: Furnished, ids: dict[str, str]) -> None:
    alert, none = {"id": ids["alerts"]}, {"id": "none"}
    for act in ("acknowledge", "comment", "unacknowledge", "close"):
        path = f"/v1/alerts/{{id}}/{act}"
        there.ask("post", path, "operator", path_parameters=alert, body={"comment": "seen"})
        there.ask("post", path, path_parameters=none, body={"comment": "seen"})
        _ask_written(there, "post", path, alert, {"odd": 1})
    _ask_written(there, "post", "/v1/silences", {}, {"why": ""})
    silence = "/v1/silences/{id}"
    for one, query in ((ids["silences"], {}), ("none", {}), (ids["silences"], {"odd": "1"})):
        there.ask("delete", silence, path_parameters={"id": one}, query=query)


def _ask_endpoints(there: Furnished) -> None:
    new, one = {"name": "other", "url": "https://duty.example.org/hook"}, "/v1/endpoints/{id}"
    made = there.ask("post", "/v1/endpoints", body=new).json()["id"]
    there.ask("post", "/v1/endpoints", body=new)
    _ask_written(there, "post", "/v1/endpoints", {}, {"name": "odd"})
    mine, none, odd = {"id": made}, {"id": "none"}, {"odd": "1"}
    there.ask("patch", one, path_parameters=mine, body={"name": "renamed"})
    there.ask("patch", one, path_parameters=mine, body={"name": "desk"})
    there.ask("patch", one, path_parameters=none, body={"name": "x"})
    _ask_written(there, "patch", one, mine, {"odd": 1})
    sent = there.ask("post", f"{one}/test", path_parameters=mine).json()["id"]
    there.ask("post", f"{one}/test", path_parameters=none)
    there.ask("post", f"{one}/test", path_parameters=mine, query=odd)
    again = "/v1/deliveries/{id}/resend"
    assert eventually(lambda: there.city.send("POST", again.replace("{id}", sent)).status == 202)
    eventually(lambda: there.ask("post", again, path_parameters={"id": sent}).status_code == 202)
    there.ask("post", again, path_parameters={"id": "3f6f2a0e-7a44-4c3e-9a37-6f1c2d5b8e10"})
    there.ask("post", again, path_parameters={"id": "none"})
    there.ask("patch", one, path_parameters=mine, body={"disabled": True})
    there.ask("post", f"{one}/test", path_parameters=mine)
    there.ask("post", again, path_parameters={"id": sent})
    there.ask("delete", one, path_parameters=mine, query=odd)
    there.ask("delete", one, path_parameters=mine)
    there.ask("delete", one, path_parameters=none)
    there.ask("delete", one, path_parameters={"id": "of-profile"})


def _ask_posting(there: Furnished) -> None:
    good, bad = occupancy(), occupancy(type="no.such")
    post = ("post", "/v1/events")
    for role in ("ingest", "viewer", "nobody"):
        there.ask(*post, role, body=good, media_type="application/json")
    for body in ([good, bad], [bad]):
        there.ask(*post, body=body, media_type="application/json")
    case = WHOLE["/v1/events"]["post"]
    for data, kind, encoding in ((b"{", "application/json", ""), (b"x", "text/plain", ""),
                                 (gzip.compress(b" " * (20 << 20)), "application/json", "gzip")):  # fmt: skip
        headers = there.headers("admin") | {"Content-Type": kind} | ({"Content-Encoding": encoding} if encoding else {})
        one = case.Case(headers=headers)
        answer = one.call(base_url=there.city.url, data=data, timeout=30)
        one.validate_response(answer, checks=list(CHECKS))
        there.seen.add(("/v1/events", "post", str(answer.status_code)))


def _ask_stream(there: Furnished) -> None:
    declared = DOCUMENT["paths"]["/v1/stream"]["get"]["responses"]
    for role, query in (("admin", ""), ("admin", "?odd=1"), ("admin", "?area=nowhere"), ("nobody", ""), ("ingest", "")):
        answer = there.city.send("GET", f"/v1/stream{query}", key=there.keys[role])
        assert answer.headers.get_content_type() in declared[str(answer.status)]["content"]
        there.seen.add(("/v1/stream", "get", str(answer.status)))


def test_the_document_knows_no_path_twice_and_the_city_no_other(there: Furnished, tmp_path: Path) -> None:
    assert there.city.get("/openapi.json").json["paths"].keys() == DOCUMENT["paths"].keys()
