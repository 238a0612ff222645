"""Each way in which a connection to Kafka fails is one clear line without a password, and TLS, SASL and rights work."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from citybrain.bus.kafka import open_kafka_bus
from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.bus.port import BusUnavailable, Record
from citybrain.errors import CitybrainError, SettingsError
from citybrain.telemetry import Metrics
from kafka_server import KafkaServer, leave_out

PASSWORD = "right-and-secret"  # noqa: S105 - of a server that lives for this test
PLAIN = KafkaSettings(single_replica=True)
SASL = replace(PLAIN, security="SASL_PLAINTEXT", user="city", password=PASSWORD)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A Kafka with listeners for TLS and SASL, where the user `guest` may do nothing."""
    if shutil.which("keytool") is None:
        leave_out("no Java is here: tests of Kafka's TLS and SASL are left out")
    folder = tmp_path_factory.mktemp("guarded")
    _make_certificate(folder)
    jaas = "org.apache.kafka.common.security"
    properties = {
        "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.sasl.plain.sasl.jaas.config": f'{jaas}.plain.PlainLoginModule required user_city="{PASSWORD}";',
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{jaas}.scram.ScramLoginModule required;",
        "ssl.keystore.location": str(folder / "server.p12"),
        "ssl.keystore.password": PASSWORD,
        "ssl.keystore.type": "PKCS12",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:city",
    }
    scram = {"city": PASSWORD, "guest": PASSWORD}
    server = KafkaServer(folder, {"SASL": "SASL_PLAINTEXT", "TLS": "SSL"}, properties, scram)
    server.start()
    yield server
    server.stop()


def _make_certificate(folder: Path) -> None:
    """server.p12 for 127.0.0.1, and ca.pem that vouches for it."""
    store = ["-keystore", str(folder / "server.p12"), "-storetype", "PKCS12", "-storepass", PASSWORD, "-alias", "kafka"]
    make = ["-genkeypair", "-keyalg", "RSA", "-validity", "30", "-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1"]
    subprocess.run(["keytool", *make, *store], check=True, capture_output=True, timeout=60)  # noqa: S607
    export = ["keytool", "-exportcert", "-rfc", *store, "-file", str(folder / "ca.pem")]
    subprocess.run(export, check=True, capture_output=True, timeout=60)


async def attempt(servers: str, settings: KafkaSettings) -> str:
    """Append and fetch; the one line of what went wrong, or nothing."""
    said = ""
    async with open_kafka_bus(servers, settings, Metrics()) as bus:
        try:
            await bus.append("connections", [Record(b"k", "test", b"v")])
            assert await bus.fetch("connections", dict.fromkeys(range(await bus.partitions("connections")), 0), 10)
        except CitybrainError as error:
            said = f"{error}"
    assert "\n" not in said
    assert PASSWORD not in f"{said}{settings!r}"
    return said


def at(server: KafkaServer, listener: str) -> str:
    return f"127.0.0.1:{server.ports[listener]}"


async def test_tls_and_both_ways_of_sasl_work(guarded: KafkaServer) -> None:
    trusting = replace(PLAIN, security="SSL", ca_file=guarded.folder / "ca.pem")
    assert await attempt(at(guarded, "TLS"), trusting) == ""
    assert await attempt(at(guarded, "SASL"), SASL) == ""
    assert await attempt(at(guarded, "SASL"), replace(SASL, sasl_mechanism="PLAIN")) == ""


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_told(guarded: KafkaServer, mechanism: str) -> None:
    wrong = replace(SASL, sasl_mechanism=mechanism, password="wrong-" + PASSWORD)
    assert f"{at(guarded, 'SASL')} refuses the user or password of city" in await attempt(at(guarded, "SASL"), wrong)


async def test_a_mechanism_that_is_not_offered_is_told(guarded: KafkaServer) -> None:
    said = await attempt(at(guarded, "SASL"), replace(SASL, sasl_mechanism="SCRAM-SHA-256"))
    assert "does not offer SCRAM-SHA-256" in said


async def test_a_certificate_that_is_not_trusted_is_told(guarded: KafkaServer) -> None:
    said = await attempt(at(guarded, "TLS"), replace(PLAIN, security="SSL"))
    assert "certificate that is not trusted" in said
    assert "CITYBRAIN_KAFKA_CA_FILE" in said


@pytest.mark.parametrize(
    ("listener", "settings"),
    [
        ("PLAINTEXT", replace(PLAIN, security="SSL")),
        ("TLS", PLAIN),
        ("SASL", PLAIN),
        ("PLAINTEXT", SASL),
    ],
    ids=["TLS to plain", "plain to TLS", "nobody to SASL", "SASL to plain"],
)
async def test_the_wrong_protocol_for_a_listener_is_told(guarded: KafkaServer, listener: str, settings: KafkaSettings) -> None:
    said = await attempt(at(guarded, listener), settings)
    assert at(guarded, listener) in said
    assert "CITYBRAIN_KAFKA_SECURITY" in said or settings.security in said


async def test_a_user_without_rights_is_told_which_topic(guarded: KafkaServer) -> None:
    said = await attempt(at(guarded, "SASL"), replace(SASL, user="guest"))
    assert "topic connections" in said
    assert "does not let this user" in said


async def test_a_name_that_does_not_resolve_is_told() -> None:
    assert "no-such-host.invalid:9092 has a name that cannot be resolved" in await attempt("no-such-host.invalid:9092", PLAIN)


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[str]:
    """Something that is no Kafka: answers so, or closes when there is no answer, or is silent when it is empty."""

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read(10)
        if answer is not None:
            writer.write(answer)
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for writer in writers:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", None, b""], ids=["http", "closes", "silent"])
async def test_a_port_of_something_else_is_told(answer: bytes | None) -> None:
    async with answering(answer) as server:
        said = await attempt(server, PLAIN)
    assert server in said
    assert "no Kafka" in said or "does not answer as Kafka would" in said


async def test_certificates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    for name, settings in (
        ("CITYBRAIN_KAFKA_CA_FILE", replace(PLAIN, security="SSL", ca_file=tmp_path / "bad.pem")),
        ("CITYBRAIN_KAFKA_CERT_FILE", replace(PLAIN, security="SSL", cert_file=tmp_path / "bad.pem")),
    ):
        with pytest.raises(SettingsError, match=name):
            async with open_kafka_bus("127.0.0.1:1", settings, Metrics()) as bus:
                await bus.partitions("any")


async def test_a_server_that_is_there_among_several_is_found(guarded: KafkaServer) -> None:
    assert await attempt(f"127.0.0.1:1,{guarded.servers}", PLAIN) == ""


async def test_errors_are_retryable() -> None:
    async with open_kafka_bus("127.0.0.1:1", PLAIN, Metrics()) as bus:
        with pytest.raises(BusUnavailable) as told:
            await bus.fetch("any", {0: 0}, 1)
    assert told.value.retryable
