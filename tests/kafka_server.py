"""A real Apache Kafka for the tests: one node (KRaft) on free ports, in a folder of its own. Used by conftest.py and chaos tests.

Found in this order: CITYBRAIN_TEST_KAFKA (host:port, a server that is there), Java with Maven, Docker. Tests that kill a server
need one of their own, so a server that is there does not do for them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

VERSION = "4.1.1"
READY_TIMEOUT_S = 40
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>citybrain</groupId><artifactId>test-kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
  </dependencies>
</project>
"""


class KafkaMissing(RuntimeError):
    """Neither Java with Maven nor Docker is here."""


class KafkaServer:
    """`start`, `stop`, `kill` (-9), `restart` on the same folder and ports; `servers` is host:port.

    `listeners` adds listeners: name → protocol (SASL_PLAINTEXT, SSL …), with `properties` for them and `scram` users with
    passwords; their ports are in `ports`. All that needs Java.
    """

    def __init__(
        self,
        folder: Path,
        listeners: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        scram: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.ports = {name: _free_port() for name in ("PLAINTEXT", "CONTROLLER", *(listeners or {}))}
        self._protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **(listeners or {})}
        self._properties = dict(properties or {})
        self._scram = dict(scram or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._container = ""

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.ports['PLAINTEXT']}"

    def start(self) -> None:
        """Returns when it is ready, in 5 s or so."""
        libraries = _libraries()
        if libraries is None:
            self._start_container()
        else:
            self._start_java(libraries)
        begun = time.monotonic()
        while not asyncio.run(_answers(self.ports["PLAINTEXT"])):
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"Kafka ended: {(self.folder / 'kafka.log').read_text()[-2000:]}")
            if time.monotonic() - begun > READY_TIMEOUT_S:
                raise RuntimeError("Kafka was not ready in time")
            time.sleep(0.1)

    def stop(self) -> None:
        """As an operator would: it has 10 s to close its files."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """On the folder as it is."""
        self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        if self._container:
            subprocess.run(["docker", "kill", "--signal", str(int(number)), self._container], check=False, capture_output=True)  # noqa: S607
            self._container = ""
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
            self._process = None

    def _start_java(self, libraries: Path) -> None:
        settings = self.folder / "server.properties"
        java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{libraries}/*"]
        with (self.folder / "kafka.log").open("ab") as log:
            if not settings.exists():
                settings.write_text(self._server_properties(), encoding="utf-8")
                form = [*java, "kafka.tools.StorageTool", "format", "-t", "xtzWWN4bTjitpL3kfd9s5g", "-c", str(settings)]
                for user, password in self._scram.items():
                    form += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
                subprocess.run(form, check=True, stdout=log, stderr=log, timeout=60)
            self._process = subprocess.Popen([*java, "kafka.Kafka", str(settings)], stdout=log, stderr=log, cwd=self.folder)

    def _server_properties(self) -> str:
        every = ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items())
        advertised = ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items() if name != "CONTROLLER")
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.ports['CONTROLLER']}",
            "controller.listener.names": "CONTROLLER",
            "listeners": every,
            "advertised.listeners": advertised,
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in self._protocols.items()),
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            **self._properties,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _start_container(self) -> None:
        port, controller = self.ports["PLAINTEXT"], self.ports["CONTROLLER"]
        self._container = f"citybrain-test-kafka-{port}"
        settings = {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@127.0.0.1:{controller}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENERS": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        }
        known = subprocess.run(["docker", "start", self._container], check=False, capture_output=True)  # noqa: S607
        if known.returncode != 0:
            environment = [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]
            subprocess.run(
                ["docker", "run", "-d", "--network", "host", "--name", self._container, *environment, f"apache/kafka:{VERSION}"],  # noqa: S607
                check=True,
                capture_output=True,
                timeout=300,
            )


def leave_out(what: str) -> NoReturn:
    """Skip a test for want of a server, loudly; where CI is set that is a failure."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(what, pytrace=False)
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"\n*** LEFT OUT: {what} ***\n")
    pytest.skip(what)


def can_start() -> bool:
    """Whether a server of our own can be started here."""
    try:
        return _libraries() is not None or _docker()
    except KafkaMissing:
        return False


def _libraries() -> Path | None:
    """The folder of Kafka's jars, fetched once by Maven into the user's cache; None when Docker has to do."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "citybrain" / f"kafka-{VERSION}"
    if shutil.which("java") is None or not (shutil.which("mvn") or (folder / "libs").exists()):
        if _docker():
            return None
        raise KafkaMissing("neither Java with Maven nor Docker is here")
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pom.xml").write_text(_POM, encoding="utf-8")
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"]
        subprocess.run(command, check=True, cwd=folder, timeout=300, capture_output=True)
        (folder / "complete").touch()
    return folder / "libs"


def _docker() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=20).returncode == 0  # noqa: S607


async def _answers(port: int) -> bool:
    """Whether there is a broker that topics can be put on."""
    try:
        connection = await create_conn("127.0.0.1", port, request_timeout_ms=2000)
        try:
            return bool((await connection.send(MetadataRequest([]))).brokers)
        finally:
            connection.close()
    except (OSError, KafkaError, TimeoutError):
        return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
