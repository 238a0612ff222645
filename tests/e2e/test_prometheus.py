"""A real Prometheus over a cluster at work: it scrapes every role, evaluates every rule, and answers every panel of Grafana."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from places import minutes_ago, occupancy, stamp, write_profile

from city import eventually, free_port
from cluster import Role, cluster
from dashboards import Shown, documents, panels
from pictures import drawing, texts
from prometheus_server import PrometheusServer
from receivers import receiver

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]
ROLES = ("ingest", "aggregate", "alert", "deliver", "api")
SCRAPED_S = 10  # rates need several samples
WITHOUT_PRESSURE = {"citybrain:citybrain_ingest_pressure:ratio5m"}
JSON = {"Content-Type": "application/json"}
PROMQL = [(shown, query) for shown in panels("en") for query in shown.promql]
# What has no series before there was trouble or an alert, or in a cluster.
QUIET = (
    "citybrain_disk_free_bytes",  # of an embedded city: a cluster's database is on another machine
    "citybrain_ingest_pressure_total", "citybrain_aggregate_errors_total", "citybrain_notify_intents_total",
    "citybrain_stream_dropped_total", "citybrain_notify_errors_total", "citybrain_alert_errors_total",
    "citybrain_deliver_errors_total",
)  # fmt: skip


class Watched(NamedTuple):
    """A Prometheus, and the Unix time at which the cluster was at work and Prometheus had seen enough of it."""

    server: PrometheusServer
    at: float


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    root = tmp_path_factory.mktemp("scraped")
    ports = {role: free_port() for role in ROLES}
    server = PrometheusServer(root / "prometheus", {role: [port] for role, port in ports.items()})
    values = {"CITYBRAIN_DELIVERY_NETWORKS": "127.0.0.0/8", "CITYBRAIN_DELIVERY_HTTP": "true"}
    with cluster(root, profile=write_profile(root / "city"), **values) as city:
        roles = {role: city.start(role, CITYBRAIN_METRICS_PORT=str(port)) for role, port in ports.items()}
        try:
            server.start()
            yield Watched(server, asyncio.run(work(roles["ingest"], roles["api"], server)))
        finally:
            server.stop()


async def work(ingest: Role, api: Role, server: PrometheusServer) -> float:
    """Good and bad posts, reads, and pages that are delivered, until Prometheus has seen enough of them to tell rates."""
    async with receiver() as desk:
        endpoint = {"name": "desk", "url": desk.url(), "format": "citybrain"}
        created = await asyncio.to_thread(api.send, "POST", "/v1/endpoints", json.dumps(endpoint).encode(), JSON)
        assert created.status == 201, created.body
        begun = time.monotonic()
        while time.monotonic() < begun + SCRAPED_S or not is_enough(server):
            assert time.monotonic() < begun + 60, server.rows("up")
            await asyncio.to_thread(one_round, ingest, api, created.json["id"])
            await asyncio.sleep(0.3)
        assert desk.hooks
        return time.time()


def is_enough(server: PrometheusServer) -> bool:
    """Whether every role is up, and what comes last in the pipeline has a rate."""
    return all_are_up(server) and bool(server.rows("rate(citybrain_deliver_attempts_total[15s]) > 0"))


def one_round(ingest: Role, api: Role, endpoint: str) -> None:
    batch = [occupancy(n % 90, subject=f"lot-{n}", time=stamp(minutes_ago(0))) for n in range(50)]
    assert ingest.post([*batch, occupancy(type="nothing")]).status == 207
    assert api.get("/v1/alerts").status == 200
    assert api.send("POST", f"/v1/endpoints/{endpoint}/test").status in {200, 202}


def all_are_up(server: PrometheusServer, at: float | None = None) -> bool:
    return {row["metric"]["role"] for row in server.rows("up == 1", at)} == set(ROLES)


def test_every_role_is_scraped(watched: Watched) -> None:
    assert all_are_up(watched.server, watched.at)
    assert {one["labels"]["role"] for one in watched.server.get("targets")["activeTargets"]} == set(ROLES)


def test_every_rule_is_evaluated_and_none_fires_over_a_healthy_city(watched: Watched) -> None:
    assert eventually(lambda: all(rule["health"] != "unknown" for rule in watched.server.rules()))
    rules = watched.server.rules()
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    assert eventually(lambda: {name for name in recorded if not watched.server.rows(name)} == WITHOUT_PRESSURE)


@pytest.mark.parametrize(("shown", "query"), PROMQL, ids=[f"{shown.panel['title']}: {query}" for shown, query in PROMQL])
def test_every_panel_is_answered(watched: Watched, shown: Shown, query: str) -> None:
    asked = query.replace("$__rate_interval", "15s").replace("$__range", "5m")
    assert "$" not in asked
    rows = watched.server.rows(asked, watched.at)
    names = [target["legendFormat"] for target in shown.panel["targets"] if target["expr"] == query]
    for label in re.findall(r"{{(\w+)}}", names[0]):
        assert all(label in row["metric"] for row in rows), rows
    if any(metric in query for metric in QUIET):
        return
    assert rows, f"nothing for {shown.name}"
    assert any(row["value"][1] != "NaN" for row in rows), rows


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_picture_of_the_pipeline_is_drawn_from_its_queries(watched: Watched, language: str) -> None:
    end = datetime.fromtimestamp(watched.at, UTC)
    svg = drawing("draw_pipeline").plate(watched.server, language, end - timedelta(minutes=5), end)
    panels_of_it = documents()[f"{language}/pipeline.json"]["panels"]
    assert {panel["title"] for panel in panels_of_it if panel["type"] != "row"} <= set(texts(svg))
    assert svg.count("<circle") + svg.count('class="line"') > 20


def test_a_query_that_means_nothing_is_noticed(watched: Watched) -> None:
    with pytest.raises(ValueError, match="many-to-many"):
        watched.server.rows("citybrain_role_lag * on (job) citybrain_build_info")
