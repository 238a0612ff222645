"""Cities for the end-to-end tests: one that nobody restarts, and as many of their own as a test wants."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import write_profile

import city as cities
from city import City
from kafka_server import KafkaServer, can_start, leave_out

if os.environ.get("CITYBRAIN_TEST_CITY") == "cluster":  # set by test_the_same_on_a_cluster.py
    from cluster_city import ClusterCity

    City = cities.City = ClusterCity  # type: ignore[misc]


@pytest.fixture(scope="session")
def shared_city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city for tests that neither restart it nor count on being alone in it."""
    root = tmp_path_factory.mktemp("shared")
    with City(root, write_profile(root / "city")) as city:
        yield city


@pytest.fixture
def own_city(tmp_path: Path) -> Iterator[City]:
    """A city that the test may kill."""
    with City(tmp_path, write_profile(tmp_path / "city")) as city:
        yield city


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaServer]:
    """A Kafka that the test may kill: topics of clusters have one name, so each cluster has its own."""
    if not can_start():
        leave_out("no Apache Kafka can be started here (Java with Maven, or Docker): tests of clusters are left out")
    (tmp_path / "kafka").mkdir()
    server = KafkaServer(tmp_path / "kafka")
    server.start()
    yield server
    server.kill()
