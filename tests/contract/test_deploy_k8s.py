"""The manifests of deploy/k8s against Kubernetes' own schemas, and against what the code has."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml

from citybrain.__main__ import cli
from citybrain.openapi import openapi_document
from citybrain.settings import VARIABLES, read_settings
from citybrain_schemas.topics import EVENTS_TOPIC

FOLDER = Path(__file__).parents[2] / "deploy" / "k8s"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
ROLES = ("aggregate", "alert", "api", "deliver", "ingest")
VERSIONS = ("1.30", "1.34")


def documents(name: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((FOLDER / name).read_text("utf-8")) if one]


MANIFESTS = [one for name in KUSTOMIZATION["resources"] for one in documents(name)]
WORKLOADS = {one["metadata"]["name"]: one for one in MANIFESTS if one["kind"] in {"Deployment", "StatefulSet", "Job"}}
LAG = documents("keda/lag.yaml")[0]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one["spec"] for one in MANIFESTS if one["kind"] == kind}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_kubernetes_accepts_it(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_every_file_is_applied_and_names_are_unique() -> None:
    files = {one.name for one in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(KUSTOMIZATION["resources"]) == files
    names = [(one["kind"], one["metadata"]["name"]) for one in MANIFESTS]
    assert len(set(names)) == len(names)
    assert yaml.safe_load((FOLDER / "keda" / "kustomization.yaml").read_text("utf-8"))["resources"] == ["..", "lag.yaml"]


def test_every_role_runs_as_a_command_that_exists() -> None:
    assert WORKLOADS.keys() == {*ROLES, "migrate"}
    for name, one in WORKLOADS.items():
        [container] = one["spec"]["template"]["spec"]["containers"]
        command = cli.get_command(click.Context(cli), container["args"][0])
        assert command is not None
        assert container["args"][0] == name
        known = {option for each in command.params for option in each.opts}
        assert {word for word in container["args"][1:] if word.startswith("--")} <= known
        assert container["image"] == KUSTOMIZATION["images"][0]["name"]


def test_settings_are_known_and_secrets_come_from_files(tmp_path: Path) -> None:
    [settings] = [one["data"] for one in MANIFESTS if one["kind"] == "ConfigMap"]
    assert settings.keys() <= VARIABLES.keys()
    assert not {"CITYBRAIN_ADMIN_KEY", "CITYBRAIN_DATABASE_URL", "CITYBRAIN_KAFKA_PASSWORD"} & settings.keys()
    (tmp_path / "admin-key").write_text("k" * 32)
    (tmp_path / "database-url").write_text("postgresql://city@database/city")
    here = {name: value.replace("/run/secrets/citybrain", str(tmp_path)) for name, value in settings.items()}
    read = read_settings(here, tmp_path / "none")
    assert read.bus == settings["CITYBRAIN_BUS"]
    assert str(read.metrics_port) == settings["CITYBRAIN_METRICS_PORT"]


@pytest.mark.parametrize("name", [*ROLES, "migrate"])
def test_nothing_runs_as_root_or_writes_to_its_image(name: str) -> None:
    pod = WORKLOADS[name]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} == container["resources"].keys()
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}


@pytest.mark.parametrize("name", ROLES)
def test_probes_ports_and_services_meet(name: str) -> None:
    [container] = WORKLOADS[name]["spec"]["template"]["spec"]["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert ports["http"] == next(one.default for one in command.params if "--port" in one.opts)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] in openapi_document()["paths"]
        assert asked["port"] in ports
    labels = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
    service = of_kind("Service")[name]
    assert service["selector"] == labels == WORKLOADS[name]["spec"]["selector"]["matchLabels"]
    assert service["ports"][0]["targetPort"] in ports
    assert of_kind("PodDisruptionBudget")[name]["selector"]["matchLabels"] == labels
    assert WORKLOADS[name]["spec"]["replicas"] == 2
    assert WORKLOADS[name]["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(ports["metrics"])
    [settings] = [one["data"] for one in MANIFESTS if one["kind"] == "ConfigMap"]
    assert settings["CITYBRAIN_METRICS_PORT"] == str(ports["metrics"])


def test_scaling_names_what_is_there() -> None:
    for name, spec in of_kind("HorizontalPodAutoscaler").items():
        target = spec["scaleTargetRef"]
        assert (target["kind"], target["name"]) == (WORKLOADS[name]["kind"], name)
    [settings] = [one["data"] for one in MANIFESTS if one["kind"] == "ConfigMap"]
    assert LAG["spec"]["scaleTargetRef"]["kind"] == WORKLOADS[LAG["spec"]["scaleTargetRef"]["name"]]["kind"]
    assert LAG["spec"]["maxReplicaCount"] <= int(settings["CITYBRAIN_KAFKA_PARTITIONS"])
    asked = LAG["spec"]["triggers"][0]["metadata"]
    assert asked["topic"] == EVENTS_TOPIC
    assert asked["consumerGroup"] == f"citybrain.aggregate.{EVENTS_TOPIC}"
    assert settings["CITYBRAIN_BUS"] == f"kafka://{asked['bootstrapServers']}"


def test_what_the_operator_of_prometheus_is_given_is_there() -> None:
    folder = FOLDER / "monitoring"
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    assert kustomization["resources"] == ["..", "pods.yaml", "rules.yaml"]
    [pods] = documents("monitoring/pods.yaml")
    [endpoint] = pods["spec"]["podMetricsEndpoints"]
    labels = [one["spec"]["template"]["metadata"]["labels"] for name, one in WORKLOADS.items() if name in ROLES]
    assert {one[pods["spec"]["jobLabel"]] for one in labels} == {"citybrain"}
    assert all(pods["spec"]["selector"]["matchLabels"].items() <= one.items() for one in labels)
    for name in ROLES:
        assert endpoint["port"] in {one["name"] for one in WORKLOADS[name]["spec"]["template"]["spec"]["containers"][0]["ports"]}
    spec = importlib.util.spec_from_file_location("make_rules", folder / "make_rules.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert (folder / "rules.yaml").read_text("utf-8") == made.manifest(), "run python deploy/k8s/monitoring/make_rules.py"


def test_the_network_is_closed_but_for_what_is_named() -> None:
    policies = of_kind("NetworkPolicy")
    assert policies["nothing-else"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policies["nothing-else"]
    ports = {one["port"] for rule in policies["nothing-else"]["egress"] for one in rule["ports"]}
    assert ports == {53, 5432, 9092}
    assert policies["webhooks"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "deliver"
    [scraped] = policies["metrics"]["ingress"]
    [settings] = [one["data"] for one in MANIFESTS if one["kind"] == "ConfigMap"]
    assert [str(one["port"]) for one in scraped["ports"]] == [settings["CITYBRAIN_METRICS_PORT"]]  # it takes no key
    assert scraped["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert policies["callers"]["podSelector"]["matchExpressions"][0]["values"] == ["ingest", "api"]
