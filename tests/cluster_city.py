"""A cluster that is used like an embedded city, so that the same end-to-end files run on both: tests/e2e/conftest.py.

Every role a process of its own, aggregate twice, over Apache Kafka and PostgreSQL. One address is asked, as behind a gateway:
posts of events go to ingest, everything else to api.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from city import COMMAND, READY_S, Answer, City, Ran, eventually, run
from cluster import Cluster, Role
from gateway import Gateway
from kafka_server import KafkaServer, can_start, leave_out

ROLES = ("ingest", "aggregate", "aggregate", "alert", "deliver", "api")


class ClusterCity(City):
    """See the module's text. `start`, `stop` and `kill` are of all roles; Kafka and PostgreSQL stay up between them."""

    def __init__(self, root: Path, profile: Path | None = None, command: str = COMMAND, **settings: str) -> None:
        super().__init__(root, profile, command, **settings)
        self._kafka: KafkaServer | None = None
        self._cluster: Cluster | None = None
        self._roles: list[Role] = []
        self._gateway: Gateway | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {"CITYBRAIN_ADMIN_KEY": self.key} | (self._cluster.values if self._cluster is not None else {})

    def start(self) -> None:
        if self._cluster is None:
            self._prepare()
        processes = [role.launch() for role in self._roles]
        ready = eventually(lambda: all(role.is_ready() for role in self._roles), READY_S)
        assert ready, self.log[-3000:]
        assert all(process.poll() is None for process in processes), self.log[-3000:]

    def _prepare(self) -> None:
        if not can_start():
            leave_out("no Apache Kafka can be started here (Java with Maven, or Docker): the city stays embedded")
        for name in ("kafka", "cluster"):
            (self.root / name).mkdir()
        self._kafka = KafkaServer(self.root / "kafka")
        self._kafka.start()
        values = {"CITYBRAIN_SINGLE_REPLICA": "true", "CITYBRAIN_KAFKA_PARTITIONS": "4", **self.settings}
        self._cluster = Cluster(self.root / "cluster", f"kafka://{self._kafka.servers}", **values)
        self._cluster.key = self.key
        self._cluster.begin(self.profile)
        self._roles = [self._cluster.add(role) for role in ROLES]
        self._gateway = Gateway(self.port, self._roles[0].url, self._roles[-1].url).start()

    def stop(self) -> tuple[int, float]:
        begun = time.monotonic()
        codes = [role.stop()[0] for role in self._roles]
        return max(codes), (time.monotonic() - begun) / len(codes)

    def kill(self, *, database: bool = False) -> None:
        for role in self._roles:
            role.kill()
        if database and self._cluster is not None:
            self._cluster.restart_database()

    def remove(self) -> None:
        if self._gateway is not None:
            self._gateway.stop()
        if self._cluster is not None:
            self._cluster.end()
        if self._kafka is not None:
            self._kafka.stop()

    @property
    def log(self) -> str:
        return "".join(role.log for role in self._roles)

    def run(self, *arguments: str | Path) -> Ran:
        return run(*arguments, cwd=self.root, environment=self.environment, command=self.command)

    def on_data(self, *arguments: str | Path) -> Ran:
        return self.run(*arguments)

    def is_ready(self) -> bool:
        return all(role.is_ready() for role in self._roles)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        asked = self._roles[0] if (method, path.partition("?")[0]) == ("POST", "/v1/events") else self._roles[-1]
        return asked.send(method, path, body, headers, **more)
