"""A real Prometheus over a cluster at work: it scrapes every role, evaluates every rule, and answers every panel of Grafana."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from places import minutes_ago, occupancy, stamp, write_profile

from city import eventually, free_port
from cluster import Role, cluster
from dashboards import Shown, documents, panels
from pictures import drawing, texts
from prometheus_server import PrometheusServer
from receivers import receiver

pytestmark = [pytest.mark.long, pytest.mark.timeout(180), pytest.mark.filterwarnings("default::pytest.PytestWarning")]
ROLES = ("ingest", "aggregate", "alert", "deliver", "api")
SCRAPED_S = 8  # rates need several samples
JSON = {"Content-Type": "application/json"}
PROMQL = [(shown, query) for shown in panels("en") for query in shown.promql]
# What has no series before there was trouble or an alert, or in a cluster.
QUIET = (
    "citybrain_disk_free_bytes",  # of an embedded city: a cluster's database is on another machine
    "citybrain_ingest_pressure_total", "citybrain_aggregate_errors_total", "citybrain_notify_intents_total",
    "citybrain_stream_dropped_total", "citybrain_notify_errors_total", "citybrain_alert_errors_total",
    "citybrain_deliver_errors_total",
)  # fmt: skip


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    root = tmp_path_factory.mktemp("scraped")
    ports = {role: free_port() for role in ROLES}
    values = {"CITYBRAIN_DELIVERY_NETWORKS": "127.0.0.0/8", "CITYBRAIN_DELIVERY_HTTP": "true"}
    with cluster(root, profile=write_profile(root / "city"), **values) as city:
        roles = {role: city.start(role, CITYBRAIN_METRICS_PORT=str(port)) for role, port in ports.items()}
        made = PrometheusServer(root / "prometheus", {role: [port] for role, port in ports.items()})
        made.start()
        try:
            asyncio.run(work(roles["ingest"], roles["api"], made))
            yield made
        finally:
            made.stop()


async def work(ingest: Role, api: Role, made: PrometheusServer) -> None:
    """Good and bad posts, reads, and a page that is delivered, until Prometheus has seen enough of them to tell rates."""
    async with receiver() as desk:
        endpoint = {"name": "desk", "url": desk.url(), "format": "citybrain"}
        created = await asyncio.to_thread(api.send, "POST", "/v1/endpoints", json.dumps(endpoint).encode(), JSON)
        assert created.status == 201, created.body
        enough = time.monotonic() + SCRAPED_S
        while time.monotonic() < enough or not all_are_up(made):
            assert time.monotonic() < enough + 60, made.rows("up")
            await asyncio.to_thread(one_round, ingest, api, created.json["id"])
            await asyncio.sleep(0.3)
        assert desk.hooks


def one_round(ingest: Role, api: Role, endpoint: str) -> None:
    batch = [occupancy(n % 90, subject=f"lot-{n}", time=stamp(minutes_ago(0))) for n in range(50)]
    assert ingest.post([*batch, occupancy(type="nothing")]).status == 207
    assert api.get("/v1/alerts").status == 200
    assert api.send("POST", f"/v1/endpoints/{endpoint}/test").status in {200, 202}


def all_are_up(made: PrometheusServer) -> bool:
    return {row["metric"]["role"] for row in made.rows("up == 1")} == set(ROLES)


def test_every_role_is_scraped(prometheus: PrometheusServer) -> None:
    assert all_are_up(prometheus)
    assert [one["lastError"] for one in prometheus.get("targets")["activeTargets"]] == [""] * len(ROLES)


def test_every_rule_is_evaluated_and_none_fires_over_a_healthy_city(prometheus: PrometheusServer) -> None:
    assert eventually(lambda: all(rule["health"] != "unknown" for rule in prometheus.rules()))
    rules = prometheus.rules()
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    assert {name for name in recorded if not prometheus.rows(name)} == {"citybrain:citybrain_ingest_pressure:ratio5m"}


@pytest.mark.parametrize(("shown", "query"), PROMQL, ids=[f"{shown.panel['title']}: {query}" for shown, query in PROMQL])
def test_every_panel_is_answered(prometheus: PrometheusServer, shown: Shown, query: str) -> None:
    asked = query.replace("$__rate_interval", "15s").replace("$__range", "5m")
    assert "$" not in asked
    rows = prometheus.rows(asked)
    names = [target["legendFormat"] for target in shown.panel["targets"] if target["expr"] == query]
    for label in re.findall(r"{{(\w+)}}", names[0]):
        assert all(label in row["metric"] for row in rows), rows
    if any(metric in query for metric in QUIET):
        return
    assert rows, f"nothing for {shown.name}"
    assert any(row["value"][1] != "NaN" for row in rows), rows


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_picture_of_the_pipeline_is_drawn_from_its_queries(prometheus: PrometheusServer, language: str) -> None:
    end = datetime.now(UTC)
    svg = drawing("draw_pipeline").plate(prometheus, language, end - timedelta(minutes=5), end)
    panels_of_it = documents()[f"{language}/pipeline.json"]["panels"]
    assert {panel["title"] for panel in panels_of_it if panel["type"] != "row"} <= set(texts(svg))
    assert svg.count("<circle") + svg.count('class="line"') > 20


def test_a_query_that_means_nothing_is_noticed(prometheus: PrometheusServer) -> None:
    with pytest.raises(ValueError, match="many-to-many"):
        prometheus.rows("citybrain_role_lag * on (job) citybrain_build_info")
