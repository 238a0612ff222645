"""A poisoned topic on Kafka: too much garbage stops the role, a little is kept aside and put back once the code is mended."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from city import clean_environment
from citybrain.bus.kafka import open_kafka_bus
from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.bus.port import Record
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC
from cluster import Cluster, cluster, wait_for
from kafka_server import KafkaServer
from records import minutes_later, occupancy, records

pytestmark = [pytest.mark.long, pytest.mark.cluster, pytest.mark.timeout(180)]
COUNT, LOTS = 3_000, 100
FIGURES = "select sum(accepted), sum(stored), sum(repeated), sum(dead) from bus_position where role = 'aggregate'"
# A version that cannot read what one asset says.
BROKEN = """
import dataclasses

from citybrain.__main__ import main
from citybrain.aggregate import decode as module, worker

def _spoil(value):
    return b"\\0" + value if b'"lot-13"' in value else value

def broken(batches, positions):
    spoilt = [dataclasses.replace(one, values=[_spoil(value) for value in one.values]) for one in batches]
    found = module.decode(spoilt, positions)
    return found._replace(undecodable=[one._replace(value=one.value[1:]) for one in found.undecodable])

worker.decode = broken
main()
"""


@pytest.fixture
def poisoned(tmp_path: Path, kafka: KafkaServer) -> Iterator[Cluster]:
    """A cluster without roles."""
    (tmp_path / "cluster").mkdir()
    values = {"CITYBRAIN_SINGLE_REPLICA": "true", "CITYBRAIN_KAFKA_PARTITIONS": "4"}
    with cluster(tmp_path / "cluster", f"kafka://{kafka.servers}", **values) as city:
        yield city


def readings() -> list[Record]:
    return records(occupancy(f"{n}", minutes_later(n // LOTS), 1, subject=f"lot-{n % LOTS}") for n in range(COUNT))


def append(city: Cluster, found: Sequence[Record]) -> None:
    """Behind ingest's back."""

    async def work() -> None:
        kafka = KafkaSettings(partitions=4, replication=1, single_replica=True)
        async with open_kafka_bus(city.values["CITYBRAIN_BUS"].removeprefix("kafka://"), kafka, Metrics()) as bus:
            await bus.append(EVENTS_TOPIC, found)

    wait_for(work())


def figures(city: Cluster) -> tuple[int, ...]:
    return tuple(int(one) for one in wait_for(city.execute(FIGURES))[0])


def test_what_a_mistake_of_ours_kept_aside_is_processed_after_the_mistake_is_mended(poisoned: Cluster) -> None:
    append(poisoned, readings())
    poisoned.root.joinpath("broken.py").write_text(BROKEN)
    environment = clean_environment() | {"CITYBRAIN_ADMIN_KEY": poisoned.key} | poisoned.values
    command = [sys.executable, "broken.py", "aggregate", "--until-end"]
    subprocess.run(command, cwd=poisoned.root, env=environment, check=True, timeout=60)
    one_in_a_hundred = COUNT // LOTS
    assert figures(poisoned) == (COUNT, COUNT - one_in_a_hundred, 0, one_in_a_hundred)
    letters = json.loads(poisoned.run("dead", "list", "--json").ok().out)["items"]
    assert len(letters) == one_in_a_hundred
    assert all(letter["reason"] for letter in letters)

    assert f"put back {one_in_a_hundred}" in poisoned.run("dead", "requeue", "--all").ok().out
    poisoned.run("aggregate", "--until-end").ok()
    assert figures(poisoned) == (COUNT + one_in_a_hundred, COUNT, 0, one_in_a_hundred)
    assert json.loads(poisoned.run("dead", "list", "--json").ok().out)["items"] == []
    assert poisoned.run("dead", "requeue", "--all").ok().out.strip() == "put back 0"


def test_a_topic_with_thirty_percent_garbage_stops_the_role_with_the_reason(poisoned: Cluster) -> None:
    append(poisoned, [one._replace(value=b"\x00 garbage") if n % 10 < 3 else one for n, one in enumerate(readings())])
    drained = poisoned.run("aggregate", "--until-end")
    assert drained.code == 1
    assert len(drained.complaint) == 1
    assert re.fullmatch(
        r"citybrain: (\d+) of the last (\d+) records cannot be decoded: stopped before keeping more of them.*",
        drained.complaint[0],
    )
    assert figures(poisoned) == (0, 0, 0, 0)
