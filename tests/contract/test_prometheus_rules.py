"""The rules of deploy/prometheus by Prometheus' own tool, against the metrics that we export, and against their runbooks."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import promql_parser as promql
import pytest
import yaml
from test_promtool import promtool

from citybrain.telemetry import Metrics
from pages import RUNBOOK_PAGES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
RULE_FILES = sorted((FOLDER / "rules").glob("*.yml"))
TEST_FILES = sorted((FOLDER / "tests").glob("*.yml"))
GROUPS = [group for path in RULE_FILES for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
TESTS = [one for path in TEST_FILES for one in yaml.safe_load(path.read_text("utf-8"))["tests"]]
OF_PROMETHEUS = {"up"}
OF_PROCESSES = {"process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"}
LABELS = {
    "event", "kind", "le", "loop", "method", "mode", "outcome", "place", "pool", "reason", "role", "route", "code", "stage",
    "state", "status", "step", "type", "version",
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("default::pytest.PytestWarning")  # that promtool is missing is told, not an error


def exported() -> set[str]:
    """Names of series, with the suffixes that counters and histograms get."""
    found: set[str] = set()
    for metric in Metrics().registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",))
        found |= {metric.name + suffix for suffix in suffixes}
    return found


KNOWN = exported() | RECORDED | OF_PROMETHEUS | OF_PROCESSES


def names_in(query: str) -> set[str]:
    """The series that a query asks for, as the parser finds them."""
    found: set[str] = set()

    def look(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):  # ranges hold one, too
            found.add(node.name or "")

    promql.walk(promql.parse(query), look)
    return found


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool(), *map(str, arguments)], cwd=FOLDER, capture_output=True, text=True, timeout=28, check=False)


def test_promtool_accepts_every_rule() -> None:
    done = run("check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(RULES) > 50


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_at_no_other_time(path: Path) -> None:
    done = run("test", "rules", path)
    assert done.returncode == 0, (done.stdout + done.stderr)[:3000]


def test_prometheus_understands_how_pods_are_found_and_their_ports_have_that_name(tmp_path: Path) -> None:
    [job] = jobs = yaml.safe_load((FOLDER / "kubernetes-pods.yml").read_text("utf-8"))
    [discovery] = job.pop("kubernetes_sd_configs")  # which Debian's promtool was built without
    namespace = yaml.safe_load((ROOT / "deploy" / "k8s" / "namespace.yaml").read_text("utf-8"))["metadata"]["name"]
    assert discovery == {"role": "pod", "namespaces": {"names": [namespace]}}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": jobs}))
    done = run("check", "config", tmp_path / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    port = job["relabel_configs"][0]["regex"]
    for role in ("ingest", "aggregate", "alert", "deliver", "api"):
        manifest = (ROOT / "deploy" / "k8s" / f"{role}.yaml").read_text("utf-8")
        assert f"name: {port}" in manifest
        assert f"app.kubernetes.io/component: {role}" in manifest


def test_promtool_notices_an_alert_that_does_not_fire(tmp_path: Path) -> None:
    text = (FOLDER / "tests" / "cluster.yml").read_text("utf-8").replace("../rules", str(FOLDER / "rules"))
    broken = tmp_path / "broken.yml"
    broken.write_text(text.replace('instance="deliver-1:9100"}\', values: 0x40', 'instance="deliver-1:9100"}\', values: 1x40'))
    assert run("test", "rules", broken).returncode != 0


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_each_alert_is_shown_firing_and_not_firing(name: str) -> None:
    asked = [case for one in TESTS for case in one["alert_rule_test"] if case["alertname"] == name]
    assert any(case["exp_alerts"] for case in asked)
    assert any(not case["exp_alerts"] for case in asked)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert", rule.get("record")))
def test_each_expression_names_what_is_exported_or_recorded(rule: dict[str, Any]) -> None:
    assert names_in(rule["expr"]) <= KNOWN


def test_the_search_for_names_finds_those_that_are_not_there() -> None:
    found = names_in(
        'sum(rate(a_total[5m])) / on() max(b) > 1 and changes(level:c:max[1h:]) or absent(d{x="1"}) * -(e offset 5m)'
    )
    assert found == {"a_total", "b", "level:c:max", "d", "e"}


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_each_alert_says_how_bad_it_is_in_figures_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert rule["annotations"].keys() == {"summary", "summary_zh", "description", "runbook"}
    assert re.search(r"\{\{ \$value( \| humanize\w*)? \}\}", rule["annotations"]["description"])
    assert rule["annotations"]["runbook"] == f"docs/runbooks/{name}.md"
    page = (RUNBOOKS / f"{name}.md").read_text("utf-8")
    assert page.startswith(f"# {name}\n\n[中文]({name}.zh-CN.md)\n\n*{rule['labels']['severity']}*\n")
    titles = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert titles == ["What it means", "What to look at first", "What to do", "How to tell that it is over"]


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_each_alert_says_in_chinese_how_bad_it_is_and_what_to_do(name: str) -> None:
    said = ALERTS[name]["annotations"]
    assert re.search(r"[\u4e00-\u9fff]", said["summary_zh"])
    assert re.findall(r"\{\{.*?\}\}", said["summary_zh"]) == re.findall(r"\{\{.*?\}\}", said["summary"])
    page = (RUNBOOKS / f"{name}.zh-CN.md").read_text("utf-8")
    assert page.startswith(f"# {name}\n\n[English]({name}.md)\n\n*{ALERTS[name]['labels']['severity']}*\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == ["含义", "先看什么", "怎么办", "如何确认已结束"]


def test_each_runbook_has_an_alert_and_is_in_the_index_with_its_severity() -> None:
    assert {path.stem for path in RUNBOOK_PAGES} - {"README"} == ALERTS.keys()
    for ending in (".md", ".zh-CN.md"):
        index = (RUNBOOKS / f"README{ending}").read_text("utf-8")
        for name, rule in ALERTS.items():
            assert f"| [{name}]({name}{ending}) | {rule['labels']['severity']} |" in index


def quoted(word: str) -> Iterator[tuple[str, str]]:
    """Page and text of what the runbooks quote and what begins or goes on with a word. The Chinese ones quote the same."""
    for path in RUNBOOK_PAGES:
        for text in re.findall(r"`([^`]+)`", path.read_text("utf-8")):
            if re.search(word, text):
                yield path.stem, text


@pytest.mark.parametrize(("page", "query"), list(quoted(r"citybrain_\w+|^up\b|^process_|^rate\(")))
def test_each_query_of_a_runbook_names_what_is_exported_or_recorded(page: str, query: str) -> None:
    assert names_in(query) <= KNOWN


async def test_each_statement_of_a_runbook_runs(database: str) -> None:
    statements = list(quoted(r"^select "))
    assert len(statements) > 5
    connection = await asyncpg.connect(database, timeout=10)
    try:
        for _, statement in statements:
            await connection.fetch(statement)
    finally:
        await connection.close()


def test_each_event_of_the_log_that_a_runbook_names_is_logged_somewhere() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "services").rglob("*.py"))
    events = {
        text for _, text in quoted(r"^[a-z]+_[a-z_]*(failed|refused|followed|resumed|taken|alone|dropped|fenced|lost|unsure)$")
    }
    assert len(events) > 12
    for event in events:
        assert f'"{event}"' in code, event


def test_each_metric_has_our_prefix_a_sentence_a_base_unit_and_few_labels() -> None:
    for metric in Metrics().registry.collect():
        assert re.fullmatch(r"citybrain_[a-z]+(_[a-z]+)*", metric.name), metric.name
        assert re.fullmatch(r"[A-Z].*\.", metric.documentation), metric.name
        assert not re.search(r"_(ms|millis|minutes|hours|days|kb|mb|percent|total)$", metric.name), metric.name
        assert {label for sample in metric.samples for label in sample.labels} <= LABELS
    for field in vars(Metrics()).values():
        assert set(getattr(field, "_labelnames", ())) <= LABELS
