"""What compose, the image and Prometheus name exists in the code, is pinned, and holds no secret. No engine is needed."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import yaml
from compose_spec import PyCompose
from test_promtool import promtool

from citybrain.__main__ import COMMANDS, cli
from citybrain.openapi import openapi_document
from citybrain.settings import MIN_ADMIN_KEY, VARIABLES
from citybrain.store.scram import MIN_CHARACTERS

ROOT = Path(__file__).parents[2]
ROLES = {"ingest", "aggregate", "alert", "deliver", "api"}
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("citybrain")}
DOCKERFILE = (ROOT / "deploy" / "image" / "Dockerfile").read_text("utf-8")


def test_the_parser_of_the_compose_specification_takes_it() -> None:
    read = PyCompose.from_json(json.dumps(COMPOSE))  # YAML merges are resolved by then
    read.validate()
    assert set(read.service_names()) == SERVICES.keys()


def test_the_image_installs_what_the_lock_of_the_project_says() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    named = re.findall(r"^[a-z][^=\n]*==\S+", (ROOT / "deploy/image/requirements.lock").read_text("utf-8"), re.MULTILINE)
    assert len(named) > 20
    assert set(named) < set(re.findall(r"^[a-z][^=\n]*==\S+", lock, re.MULTILINE))
    assert not {"pytest", "mypy", "ruff"} & {name.partition("==")[0] for name in named}


def test_grafana_is_told_of_prometheus_and_of_the_views() -> None:
    path = ROOT / "deploy/grafana/provisioning/datasources/citybrain.yaml"
    sources = {one["uid"]: one for one in yaml.safe_load(path.read_text("utf-8"))["datasources"]}
    assert sources["prometheus"]["url"] == "http://prometheus:9090"
    grafana, views = SERVICES["grafana"], sources["citybrain-views"]
    assert grafana["environment"][views["url"].removeprefix("$")] == "database:5432"
    assert views["jsonData"]["database"] == SERVICES["database"]["environment"]["POSTGRES_DB"]
    assert "./deploy/grafana/provisioning:/etc/grafana/provisioning:ro" in grafana["volumes"]
    providers = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/citybrain.yaml").read_text("utf-8"))["providers"]
    [mounted] = [one.split(":")[:2] for one in grafana["volumes"] if "dashboards" in one]
    shown = [one["options"]["path"] for one in providers] + [grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]]
    for one in shown:
        assert (ROOT / mounted[0] / Path(one).relative_to(mounted[1])).exists()


def test_grafana_logs_in_as_the_reader_that_is_made_before_it_starts() -> None:
    grafana, words = SERVICES["grafana"], SERVICES["reader"]["command"]
    assert words[:3] == ["readers", "add", grafana["environment"]["CITYBRAIN_GRAFANA_USER"]]
    assert grafana["depends_on"] == {"reader": {"condition": "service_completed_successfully"}}
    assert SERVICES["reader"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    secret = Path(words[words.index("--password-file") + 1]).name
    path = ROOT / "deploy/grafana/provisioning/datasources/citybrain.yaml"
    assert f"$__file{{/run/secrets/{secret}}}" in path.read_text("utf-8")
    for name in ("grafana", "reader"):
        assert secret in SERVICES[name]["secrets"]
    [admin] = [one for name, one in grafana["environment"].items() if name.endswith("PASSWORD__FILE")]
    assert Path(admin) == Path("/run/secrets/grafana_admin")
    assert f"{MIN_CHARACTERS} or more" in (ROOT / "docker-compose.yml").read_text("utf-8")


def test_every_role_is_there_and_what_prepares_them_runs_before() -> None:
    assert ROLES | {"migrate", "profile", "reader", "replay", "kafka", "database", "prometheus", "grafana"} == SERVICES.keys()
    assert SERVICES["profile"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    for role in ROLES:
        assert SERVICES[role]["command"][0] == role
        assert SERVICES[role]["depends_on"]["profile"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_commands_and_their_options_exist(name: str) -> None:
    words = OURS[name]["command"]
    command: click.Command | None = cli
    while isinstance(command, click.Group):
        assert command is not cli or words[0] in COMMANDS
        command, words = command.get_command(click.Context(command), words[0]), words[1:]
    assert command is not None
    known = {option for one in command.params for option in one.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_setting_is_known_and_secrets_come_from_the_environment() -> None:
    for one in OURS.values():
        assert one["environment"].keys() <= VARIABLES.keys() | {"PGPASSWORD"}
        address = urlsplit(one["environment"]["CITYBRAIN_DATABASE_URL"])
        assert (address.username, address.password) == (SERVICES["database"]["environment"]["POSTGRES_USER"], None)
        assert one["environment"]["PGPASSWORD"] == SERVICES["database"]["environment"]["POSTGRES_PASSWORD"]
        assert one["environment"]["CITYBRAIN_ADMIN_KEY_FILE"] == f"/run/secrets/{one['secrets'][0]}"
    assert f"{MIN_ADMIN_KEY} characters" in (ROOT / "docker-compose.yml").read_text("utf-8")
    assert COMPOSE["secrets"] == {
        "citybrain_key": {"environment": "CITYBRAIN_ADMIN_KEY"},
        "grafana_database": {"environment": "GRAFANA_DATABASE_PASSWORD"},
        "grafana_admin": {"environment": "GRAFANA_ADMIN_PASSWORD"},
    }
    for one in SERVICES.values():
        assert set(one.get("secrets", ())) <= COMPOSE["secrets"].keys()
    assert not re.search(
        r"(?i)(password|secret|key): *['\"]?[a-z0-9]{6,}['\"]?$", (ROOT / "docker-compose.yml").read_text("utf-8"), re.MULTILINE
    )


def images() -> Iterator[str]:
    yield from (one["image"] for name, one in SERVICES.items() if name not in OURS)
    yield from re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("image", list(images()))
def test_images_are_pinned(image: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*", image)


def test_nothing_of_ours_runs_as_root_or_owns_what_it_runs() -> None:
    assert re.search(r"^USER 10001$", DOCKERFILE, re.MULTILINE)
    assert "--chown" not in DOCKERFILE
    for one in OURS.values():
        assert one["cap_drop"] == ["ALL"]
        assert one["security_opt"] == ["no-new-privileges:true"]


def test_secrets_from_the_environment_have_a_place_in_the_container() -> None:
    """Compose copies them into its root file system before it starts, and refuses a service whose is read-only."""
    copied = {name for name, one in COMPOSE["secrets"].items() if "environment" in one}
    takers = {name: one for name, one in SERVICES.items() if copied & set(one.get("secrets", ()))}
    assert takers.keys() >= OURS.keys() | {"grafana"}
    for name, one in takers.items():
        assert not one.get("read_only", False), name
        mounted = [*(path.split(":")[0] for path in one.get("tmpfs", ())), *(v.split(":")[1] for v in one.get("volumes", ()))]
        assert not [path for path in mounted if Path("/run/secrets").is_relative_to(path)], name


def test_kafka_makes_no_topic_by_itself() -> None:
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_what_is_mounted_copied_and_probed_is_there() -> None:
    for one in SERVICES.values():
        for volume in one.get("volumes", ()):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for part in source.split():
            assert (ROOT / part).exists(), part
    assert "/healthz" in openapi_document()["paths"]
    assert "http://127.0.0.1:8000/healthz" in DOCKERFILE
    sample, _, name = SERVICES["replay"]["command"][1:4]
    assert (ROOT / "deploy/city" / Path(sample).relative_to("/profile")).exists()
    assert (ROOT / "deploy/city/maps" / f"{name}.yaml").exists()


def test_prometheus_scrapes_every_role_on_its_port() -> None:
    path = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    [job] = yaml.safe_load(path.read_text("utf-8"))["scrape_configs"]
    assert set(job["dns_sd_configs"][0]["names"]) == ROLES
    assert "authorization" not in job
    for role in ROLES:
        assert SERVICES[role]["environment"]["CITYBRAIN_METRICS_PORT"] == str(job["dns_sd_configs"][0]["port"])
        assert not [port for port in SERVICES[role].get("ports", ()) if port.endswith(":9100")]  # it takes no key
    assert "secrets" not in SERVICES["prometheus"]


def test_promtool_accepts_the_configuration() -> None:
    path = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    done = subprocess.run([promtool(), "check", "config", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 rule files found" in done.stdout
