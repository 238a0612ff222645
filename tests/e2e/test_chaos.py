"""Workers, broker and database are killed, stopped and cut off while events flow: in the end the state is that of one process.

Slow by nature: a fault every few seconds, for minutes (`-s` prints how many there were).
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from city import City
from cluster import Cluster, Role, cluster, wait_for
from kafka_server import KafkaServer

pytestmark = [pytest.mark.long, pytest.mark.cluster, pytest.mark.timeout(900)]
EVENTS, POST, SECONDS = 200_000, 250, 180
WORKERS, MOST_WORKERS, LEAST_FAULTS = 3, 5, 30
SESSION_S = 6
GRIDS = [f"61060200100100{n}" for n in range(1, 4)]
LOTS, METERS = 300, 100
DROP = """
select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'
"""


def events(seed: int) -> list[dict[str, Any]]:
    """Of yesterday and the day before; 2 % arrive hours late."""
    dice = random.Random(seed)
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    found: list[tuple[float, dict[str, Any]]] = []
    for n in range(EVENTS):
        at = begin + timedelta(seconds=n * 86_400 / EVENTS)
        late_s = dice.uniform(2, 9) * 3600 if dice.random() < 0.02 else 0.0
        found.append((n * 86_400 / EVENTS + late_s, _event(n, at, dice)))
    return [event for _, event in sorted(found, key=lambda one: one[0])]


def _event(n: int, at: datetime, dice: random.Random) -> dict[str, Any]:
    event: dict[str, Any] = {
        "specversion": "1.0", "id": f"chaos-{n}", "source": f"/chaos/{n % 7}", "time": at.isoformat(), "area": dice.choice(GRIDS)
    }  # fmt: skip
    if n % 4:
        data = {"capacity": 100, "occupied": dice.randrange(101)}
        return event | {"type": "parking.occupancy", "subject": f"lot-{n % LOTS}", "data": data}
    meter = n // 4 % METERS
    data = {"medium": "water", "quantity": "register", "value": n // 4, "unit": "m3"}
    return event | {"type": "utility.reading", "subject": f"meter-{meter}", "area": GRIDS[meter % 3], "data": data}


class Poster(threading.Thread):
    """Posts at an even pace, a twentieth of the posts twice; again after every refusal.

    Never ahead of the faults by more than one: on a slow machine the faults set the pace.
    """

    def __init__(self, ingest: Role, posts: list[list[dict[str, Any]]], faults: Callable[[], int]) -> None:
        super().__init__(daemon=True)
        self._ingest, self._posts, self._faults, self.failure = ingest, posts, faults, ""

    def run(self) -> None:
        dice = random.Random(3)
        begun = time.monotonic()
        try:
            for n, post in enumerate(self._posts):
                time.sleep(max(0.0, begun + n * SECONDS / len(self._posts) - time.monotonic()))
                while n * (LEAST_FAULTS + 2) > (self._faults() + 2) * len(self._posts):
                    time.sleep(0.1)
                for _ in range(2 if dice.random() < 0.05 else 1):
                    answer = self._ingest.post_until_answered(post)
                    assert answer.status == 202, answer.body[:500]
        except AssertionError as error:
            self.failure = str(error) or "failed"


class Faults:
    """One after the other, in a random order."""

    def __init__(self, city: Cluster, kafka: KafkaServer) -> None:
        self._city, self._kafka, self._dice = city, kafka, random.Random(11)
        self.done: Counter[str] = Counter()

    def turns(self) -> Iterator[tuple[str, Callable[[], None]]]:
        kinds = {
            "a worker killed": self._kill,
            "a worker stopped and continued": self._stop,
            "a worker added": self._add,
            "Kafka restarted": self._kafka.restart,
            "PostgreSQL restarted": self._city.restart_database,
            "all connections dropped": self._drop,
        }
        while True:
            names = list(kinds)
            self._dice.shuffle(names)
            for name in names:
                yield name, kinds[name]

    def _worker(self) -> Role:
        return self._dice.choice(self._city.running("aggregate"))

    def _kill(self) -> None:
        self._worker().kill()
        if len(self._city.running("aggregate")) < WORKERS:
            self._city.start("aggregate")

    def _stop(self) -> None:
        worker = self._worker()
        worker.pause()
        time.sleep(SESSION_S + 2)
        worker.go_on()

    def _add(self) -> None:
        if len(self._city.running("aggregate")) >= MOST_WORKERS:
            self._worker().kill()
        self._city.start("aggregate")

    def _drop(self) -> None:
        wait_for(self._city.execute(DROP))


def test_thirty_faults_leave_the_state_of_a_single_process(tmp_path: Path, kafka: KafkaServer) -> None:
    posts = [part[n : n + POST] for part in [events(7)] for n in range(0, EVENTS, POST)]
    values = {
        "CITYBRAIN_KAFKA_SESSION_TIMEOUT": f"{SESSION_S}s",
        "CITYBRAIN_SINGLE_REPLICA": "true",
        "CITYBRAIN_KAFKA_PARTITIONS": "4",
    }
    with cluster(tmp_path, f"kafka://{kafka.servers}", **values) as city:
        ingest, api = city.start("ingest"), city.start("api")
        city.start("alert")
        for _ in range(WORKERS):
            city.start("aggregate")
        faults = Faults(city, kafka)
        poster = Poster(ingest, posts, faults.done.total)
        poster.start()
        for name, fault in faults.turns():
            time.sleep(2)
            if not poster.is_alive():
                break
            fault()
            faults.done[name] += poster.is_alive()
        assert not poster.failure, poster.failure
        print(f"\n{faults.done.total()} faults while events remained: {dict(faults.done)}")  # noqa: T201
        status = api.settled(EVENTS)
        dump = city.run("state", "dump").ok().out
    assert faults.done.total() >= LEAST_FAULTS
    assert (status["stored"], status["conflicts"], status["dead"]) == (EVENTS, 0, 0)
    (tmp_path / "alone").mkdir()
    with City(tmp_path / "alone") as alone:
        for post in posts:
            assert alone.post_until_answered(post).status == 202
        alone.settled(EVENTS)
        assert alone.dump() == dump
