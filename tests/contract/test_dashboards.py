"""Grafana's dashboards: rebuilt byte for byte, whole in themselves, and naming only what exists. No Grafana is needed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard

from city_dashboards.board import COLUMNS
from city_dashboards.files import BOARDS, files
from city_dashboards.words import LANGUAGES
from citybrain.openapi import openapi_document
from citybrain.telemetry import Metrics
from citybrain_schemas.metrics import METRICS
from dashboards import FOLDER, Shown, documents, panels

DOCUMENTS = documents()
PROVISIONING = FOLDER.parent / "provisioning"
_VARIABLE = re.compile(r"\$\{(\w+)(?::[\w:]+)?\}|\$(?!__)(\w+)|\[\[(\w+)\]\]")
_CJK = re.compile(r"[\u4e00-\u9fff]")
EACH = pytest.mark.parametrize("file", sorted(DOCUMENTS))


def each_panel(*kinds: str) -> list[Any]:
    """Panels for a test's parameters."""
    return [pytest.param(one, id=one.name) for one in panels() if not kinds or one.panel["type"] in kinds]


def variables(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in document["templating"]["list"]}


def links(document: object) -> Iterator[str]:
    """Every address in a document."""
    if isinstance(document, dict):
        yield from (value for key, value in document.items() if key == "url" and isinstance(value, str) and value)
        for value in document.values():
            yield from links(value)
    elif isinstance(document, list):
        for value in document:
            yield from links(value)


# ---- files --------------------------------------------------------------------------------------------------------------


def test_every_file_is_rebuilt_byte_for_byte() -> None:
    built = {str(path): text for path, text in files().items()}
    written = {str(path.relative_to(FOLDER)): path.read_text("utf-8") for path in FOLDER.rglob("*") if path.is_file()}
    assert written.keys() == built.keys()
    for path, text in built.items():
        assert written[path] == text, f"{path} has drifted: run python deploy/grafana/generate.py"


def test_the_address_of_the_api_is_one_that_is_given() -> None:
    for path, text in files("https://city.example:8443").items():
        assert "127.0.0.1" not in text
        assert ("https://city.example:8443" in text) == ("api" in variables(DOCUMENTS[str(path)]))


def test_there_is_a_dashboard_for_each_thing_that_operators_watch() -> None:
    wanted = {"overview", "parking", "utilities", "enforcement", "sanitation", "alerts", "asset", "pipeline"}
    assert {board.name for board in BOARDS} == wanted
    assert set(DOCUMENTS) == {f"{language}/{name}.json" for language in LANGUAGES for name in wanted}


def test_uids_are_the_ones_that_people_have_links_to() -> None:
    uids = [document["uid"] for document in DOCUMENTS.values()]
    assert Counter(uids).most_common(1)[0][1] == 1
    for file, document in DOCUMENTS.items():
        language, _, name = file.removesuffix(".json").partition("/")
        assert document["uid"] == f"citybrain-{name}-{language}"
        assert len(document["uid"]) <= 40  # Grafana's limit


@EACH
def test_grafanas_own_types_read_it_and_lose_nothing(file: str) -> None:
    """Targets and marks of SQL are a data source's, which the kit has no type of."""
    document = json.loads(json.dumps(DOCUMENTS[file]))
    for panel in document["panels"]:
        panel["targets"] = [one for one in panel.get("targets", []) if "expr" in one]
    document["annotations"] = {"list": []}
    read = json.loads(json.dumps(Dashboard.from_json(document), default=lambda one: one.to_json()))
    for name in ("title", "uid", "tags", "time", "timezone", "editable", "links", "schemaVersion"):
        assert read[name] == document[name]
    assert [panel["title"] for panel in read["panels"]] == [panel["title"] for panel in document["panels"]]
    assert [one["name"] for one in read["templating"]["list"]] == list(variables(document))


@EACH
def test_it_speaks_one_language(file: str) -> None:
    """Names of series in charts are in both, for they are one word."""
    document = DOCUMENTS[file]
    texts = [document["title"], document["description"], *(panel["title"] for panel in document["panels"])]
    texts += [panel["description"] for panel in document["panels"] if panel["type"] != "row"]
    for text in texts:
        assert bool(_CJK.search(text)) == file.startswith("zh/") or text.startswith("$"), text


# ---- panels -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", each_panel())
def test_every_panel_says_what_it_shows_and_in_what_unit(shown: Shown) -> None:
    panel = shown.panel
    assert len(panel["title"]) >= 2
    assert len(panel["description"]) >= 6
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert defaults["noValue"] not in {"", "0"}, "what was not told is not zero"
    assert panel["datasource"]["uid"] in sources()
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {panel["datasource"]["uid"]}
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


@EACH
def test_panels_lie_on_the_grid_and_not_on_each_other(file: str) -> None:
    found = DOCUMENTS[file]["panels"]
    assert len({panel["id"] for panel in found}) == len(found)
    assert found[0]["type"] == "row"
    for panel in found:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["w"] >= 3
        assert place["h"] >= (1 if panel["type"] == "row" else 3)
        assert place["x"] + place["w"] <= COLUMNS
    for one, other in combinations([panel["gridPos"] for panel in found], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    ends = sorted({place["y"] + place["h"] for place in (panel["gridPos"] for panel in found)})
    assert {panel["gridPos"]["y"] for panel in found} <= {0, *ends}, "a gap between rows"


@pytest.mark.parametrize("shown", each_panel("timeseries"))
def test_lines_break_where_nothing_was_reported(shown: Shown) -> None:
    custom = shown.panel["fieldConfig"]["defaults"]["custom"]
    if shown.sql and custom.get("drawStyle") != "bars":
        assert custom["spanNulls"] == 45 * 60 * 1000
        assert "null" in shown.sql[0]
    else:
        assert custom.get("spanNulls", False) is False


# ---- variables and links ------------------------------------------------------------------------------------------------


@EACH
def test_every_variable_is_used_and_every_one_used_is_there(file: str) -> None:
    document = DOCUMENTS[file]
    named = variables(document)
    used: set[str] = set()
    for place in [document["panels"], document["annotations"], *(one.get("query") for one in named.values())]:
        for found in _VARIABLE.finditer(json.dumps(place, ensure_ascii=False)):
            used.add(found[1] or found[2] or found[3])
    built_in = {name for name in used if name.startswith("__")}
    assert built_in <= {"__url_time_range", "__data", "__from", "__to"}
    assert used - built_in == named.keys()
    for one in named.values():
        assert one["label"]
        assert one["type"] in {"query", "custom", "constant", "textbox"}
        assert one["type"] != "query" or one["datasource"]["uid"] == "citybrain-views"


@EACH
def test_links_lead_to_dashboards_and_routes_that_exist(file: str) -> None:
    language = file.partition("/")[0]
    uids = {document["uid"]: name for name, document in DOCUMENTS.items()}
    routes = {re.sub(r"\{\w+\}", "X", path) for path in openapi_document()["paths"]}
    for url in links(DOCUMENTS[file]):
        if url.startswith("/d/"):
            target = uids[urlsplit(url).path.removeprefix("/d/")]
            asked = set(re.findall(r"var-(\w+)=", url))
            assert asked <= variables(DOCUMENTS[target]).keys(), url
            if "?" in url:
                assert target.startswith(f"{language}/")
                assert "${__url_time_range}" in url
        else:
            assert url.startswith("${api}/v1/")
            path = re.sub(r"\$\{[^}]+\}", "X", urlsplit(url.removeprefix("${api}")).path)
            assert path in routes, url


@EACH
def test_columns_that_links_and_overrides_name_are_asked_for(file: str) -> None:
    for panel in DOCUMENTS[file]["panels"]:
        if panel["type"] == "row" or "rawSql" not in panel["targets"][0]:
            continue
        sql = panel["targets"][0]["rawSql"]
        for override in panel["fieldConfig"]["overrides"]:
            if override["matcher"]["id"] == "byName":
                assert re.search(rf"\b{override['matcher']['options']}\b", sql), override
        for name in re.findall(r"__data\.fields\.(\w+)", json.dumps(panel)):
            assert re.search(rf"\b{name}\b", sql), name


@EACH
def test_the_way_down_goes_level_by_level(file: str) -> None:
    document = DOCUMENTS[file]
    levels = [one for one in ("city", "district", "street", "community", "grid", "area") if one in variables(document)]
    assert levels in ([], ["city", "district", "street", "community", "grid", "area"])
    if levels:
        assert variables(document)["area"]["hide"] == 2
        assert "${area:sqlstring}" in json.dumps(document["annotations"])


# ---- what queries name --------------------------------------------------------------------------------------------------


def exported() -> set[str]:
    """Names of samples that a process exports: counters with _total, histograms with their three."""
    names: set[str] = set()
    for metric in Metrics().registry.collect():
        match metric.type:
            case "counter":
                names.add(f"{metric.name}_total")
            case "histogram":
                names |= {f"{metric.name}_{suffix}" for suffix in ("bucket", "sum", "count")}
            case _:
                names.add(metric.name)
    return names


def selectors(expression: object) -> Iterator[promql_parser.VectorSelector]:
    """Every selector of a parsed expression."""
    match expression:
        case promql_parser.VectorSelector():
            yield expression
        case promql_parser.MatrixSelector():
            yield expression.vector_selector
        case promql_parser.Call():
            for argument in expression.args:
                yield from selectors(argument)
        case promql_parser.BinaryExpr():
            yield from selectors(expression.lhs)
            yield from selectors(expression.rhs)
        case promql_parser.AggregateExpr() | promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
            yield from selectors(expression.expr)


@pytest.mark.parametrize("shown", [one for one in each_panel() if one.values[0].promql])
def test_every_promql_parses_and_names_only_metrics_that_we_export(shown: Shown) -> None:
    known = exported()
    for text in shown.promql:
        plain = text.replace("$__rate_interval", "1m").replace("$__range", "6h")
        assert "$" not in plain
        names = [str(one.name) for one in selectors(promql_parser.parse(plain))]
        assert len(names) == plain.count("citybrain_") > 0
        assert set(names) <= known, set(names) - known


def test_a_metric_that_nobody_exports_is_noticed() -> None:
    found = promql_parser.parse("sum(rate(citybrain_no_such_total[5m])) / max by (x) (citybrain_role_lag)")
    assert [one.name for one in selectors(found)] == ["citybrain_no_such_total", "citybrain_role_lag"]
    assert "citybrain_no_such_total" not in exported()
    assert {"citybrain_http_request_seconds_bucket", "citybrain_ingest_accepted_total", "citybrain_role_lag"} <= exported()


def test_metrics_of_the_city_that_queries_name_are_declared() -> None:
    named = {
        name for one in panels() for sql in one.sql for name in re.findall(r"metric (?:=|in) \(?((?:'[\w.]+'(?:, )?)+)", sql)
    }
    found = {metric for text in named for metric in re.findall(r"'([\w.]+)'", text)}
    assert len(found) > 20
    assert found <= METRICS.keys()


def test_units_are_those_of_the_metrics() -> None:
    units = {
        "m3": "m³", "kwatth": "kWh", "suffix: GJ": "GJ", "pressurekpa": "kPa", "volt": "V", "celsius": "°C", "percent": "%",
        "percentunit": "1", "short": {"1", "spaces"},
    }  # fmt: skip
    checked = 0
    for one in panels("en"):
        for metric in re.findall(r"w?\.?metric = '([\w.]+)'", one.sql[0] if one.sql else ""):
            wanted = units[one.panel["fieldConfig"]["defaults"]["unit"]]
            if one.panel["type"] in {"timeseries", "stat"}:
                assert METRICS[metric].unit in wanted, one.name
                checked += 1
    assert checked > 20


# ---- provisioning -------------------------------------------------------------------------------------------------------


def sources() -> dict[str, dict[str, Any]]:
    found = yaml.safe_load((PROVISIONING / "datasources" / "citybrain.yaml").read_text("utf-8"))
    return {one["uid"]: one for one in found["datasources"]}


def test_the_provider_shows_each_language_in_a_folder_of_its_own() -> None:
    found = yaml.safe_load((PROVISIONING / "dashboards" / "citybrain.yaml").read_text("utf-8"))
    paths = {one["options"]["path"] for one in found["providers"]}
    assert paths == {f"/var/lib/citybrain/dashboards/{language}" for language in LANGUAGES}
    assert all(one["allowUiUpdates"] is False for one in found["providers"])
    assert len({one["folderUid"] for one in found["providers"]}) == len(LANGUAGES)


def test_the_views_are_asked_by_a_reader_whose_password_is_a_secret() -> None:
    views = sources()["citybrain-views"]
    assert views["type"] == "grafana-postgresql-datasource"
    assert views["user"] == "$CITYBRAIN_GRAFANA_USER"
    assert views["secureJsonData"]["password"].startswith("$__file{/run/secrets/")
    assert views["editable"] is False
    assert {one["type"] for one in sources().values()} == {"grafana-postgresql-datasource", "prometheus"}
