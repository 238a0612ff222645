"""Roles that only need the database start and work while Kafka is away; those that accept or read say why they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from city import City, eventually
from cluster import Cluster, cluster

pytestmark = [pytest.mark.long, pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose Kafka refuses connections."""
    with cluster(tmp_path_factory.mktemp("away"), "kafka://127.0.0.1:1") as made:
        yield made


@pytest.mark.parametrize("role", ["alert", "deliver", "api"])
def test_roles_that_need_only_the_database_become_ready(away: Cluster, role: str) -> None:
    process = away.start(role)
    assert process.get("/metrics").status == 200
    if role == "api":
        assert process.get("/v1/areas").status == 200
        status = process.get("/v1/status")
        assert (status.status, "127.0.0.1:1 refuses connections" in status.json["detail"]) == (503, True)
        assert process.wait_for_log("gauges_failed")


@pytest.mark.parametrize("command", [("ingest", "--port", "0"), ("aggregate", "--port", "0"), ("aggregate", "--until-end")])
def test_roles_that_accept_or_read_do_not_start_and_say_why(away: Cluster, command: tuple[str, ...]) -> None:
    ran = away.run(*command)
    assert ran.code == 1
    assert ran.complaint == ["citybrain: Kafka cannot be used: 127.0.0.1:1 refuses connections: nothing listens there"]


def test_aggregate_that_kafka_refuses_is_not_ready_and_says_which_setting_to_change(tmp_path: Path, kafka_servers: str) -> None:
    values = {"CITYBRAIN_SINGLE_REPLICA": "true", "CITYBRAIN_KAFKA_SESSION_TIMEOUT": "1s"}
    with cluster(tmp_path, f"kafka://{kafka_servers}", **values) as made:
        process = made.start_without_waiting("aggregate")
        assert eventually(lambda: "CITYBRAIN_KAFKA_SESSION_TIMEOUT" in why_not(process), 60), why_not(process)


def why_not(process: City) -> str:
    """What /readyz says while it is not ready; nothing when it is, or does not answer yet."""
    with suppress(OSError):
        answer = process.get("/readyz")
        return "" if answer.status == 200 else answer.body.decode()
    return ""
