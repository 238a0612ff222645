"""What `citybrain doctor` finds in a real database and over a real Kafka, and what it says to do."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from city import run
from citybrain import doctor
from citybrain.bus.kafka import open_kafka_bus
from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.doctor import Finding, consult
from citybrain.settings import read_settings
from citybrain.store import pool
from citybrain.store.embedded_server import Server
from citybrain.telemetry import Metrics

KEY = "admin-key-admin-key-admin-key-0"
TLS_REQUEST = 80877103
SETTINGS = read_settings({"CITYBRAIN_ADMIN_KEY": KEY})


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What PostgreSQL says to a request for TLS that it does not have (N), and to a password that is wrong (28P01)."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    code = int.from_bytes((await reader.readexactly(size - 4))[:4], "big")
    fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "city"\0\0'
    writer.write(b"N" if code == TLS_REQUEST else b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
    await writer.drain()
    writer.close()


@pytest.fixture
async def plain_server() -> AsyncIterator[int]:
    """The port of a server that refuses in PostgreSQL's words; the embedded one takes no password."""
    server = await asyncio.start_server(_refuse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def by_check(found: list[Finding]) -> dict[str, Finding]:
    return {one.check: one for one in found}


async def test_a_migrated_database_is_well_and_what_is_empty_is_told_with_what_to_do(database: str, tmp_path: Path) -> None:
    found = by_check(await consult(SETTINGS, database, tmp_path))
    assert list(found) == ["settings", "database", "migrations", "clock", "profile", "keys", "bus", "disk"]
    assert [found[name].state for name in ("settings", "database", "migrations", "clock", "bus")] == ["ok"] * 5
    assert "PostgreSQL" in found["database"].found
    assert (found["profile"].state, found["keys"].state) == ("warn", "warn")
    assert "citybrain city load" in found["profile"].advice
    assert not [one for one in found.values() if KEY in one.found + one.advice]


async def test_what_is_not_migrated_or_of_another_version_fails(database: str, postgres_server: Server) -> None:
    found = by_check(await consult(SETTINGS, postgres_server.dsn("postgres"), None))
    assert found["migrations"].state == "fail"
    assert "run `citybrain migrate`" in found["migrations"].advice
    connection = await asyncpg.connect(database)
    await connection.execute("insert into migration (name, sha256) values ('0099_later.sql', '')")
    await connection.close()
    assert "0099_later.sql" in by_check(await consult(SETTINGS, database, None))["migrations"].found


async def test_a_clock_that_differs_is_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SKEW_WARN_S", -1.0)
    assert by_check(await consult(SETTINGS, database, None))["clock"].state == "warn"
    monkeypatch.setattr(doctor, "SKEW_FAIL_S", -1.0)
    assert "NTP" in by_check(await consult(SETTINGS, database, None))["clock"].advice


async def test_a_full_disk_fails(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "FREE_FAIL_BYTES", 1 << 60)
    assert by_check(await consult(SETTINGS, database, tmp_path))["disk"].state == "fail"


@pytest.mark.parametrize(
    ("dsn", "why"),
    [
        ("postgresql://city:very-secret@127.0.0.1:1/city", "Errno 111"),
        ("postgresql://city:very-secret@no-such-host.invalid/city", "known"),
    ],
)
async def test_a_database_that_is_not_there_is_named_without_its_password(dsn: str, why: str) -> None:
    found = by_check(await consult(SETTINGS, dsn, None))
    assert found["database"].state == "fail"
    assert why in found["database"].found
    assert "very-secret" not in found["database"].found + found["database"].advice


async def test_a_database_that_does_not_exist_is_named(postgres_server: Server) -> None:
    found = by_check(await consult(SETTINGS, postgres_server.dsn("nothing_here"), None))
    assert '"nothing_here" does not exist' in found["database"].found


async def test_a_server_without_tls_is_named_where_tls_is_required(plain_server: int) -> None:
    found = by_check(
        await consult(SETTINGS, f"postgresql://city:very-secret@127.0.0.1:{plain_server}/city?sslmode=require", None)
    )
    assert found["database"].state == "fail"
    assert "SSL" in found["database"].found
    assert f"127.0.0.1:{plain_server}/city" in found["database"].found


async def test_a_wrong_password_is_named_and_not_shown(plain_server: int) -> None:
    found = by_check(
        await consult(SETTINGS, f"postgresql://city:very-secret@127.0.0.1:{plain_server}/city?sslmode=disable", None)
    )
    assert 'password authentication failed for user "city"' in found["database"].found
    assert "very-secret" not in found["database"].found


async def test_a_server_that_never_answers_is_named_after_the_limit(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECT_TIMEOUT_S", 1)
    found = by_check(await consult(SETTINGS, f"postgresql://city:very-secret@127.0.0.1:{silent_port}/city", None))
    assert found["database"].found == f"the database at 127.0.0.1:{silent_port}/city cannot be reached: no answer within 1 s"


async def test_kafka_is_asked_for_its_topic(database: str, kafka_servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EVENTS_TOPIC", f"doctor-{uuid4().hex}")
    kafka = KafkaSettings(single_replica=True)
    found = by_check(await consult(replace(SETTINGS, bus=f"kafka://{kafka_servers}", kafka=kafka), database, None))
    assert (found["bus"].state, found["topic"].state) == ("ok", "warn")
    fixed = replace(kafka, create_topics=False)
    found = by_check(await consult(replace(SETTINGS, bus=f"kafka://{kafka_servers}", kafka=fixed), database, None))
    assert found["topic"].state == "fail"
    async with open_kafka_bus(kafka_servers, replace(kafka, retention=timedelta(days=1)), Metrics()) as bus:
        await bus.partitions(doctor.EVENTS_TOPIC)
    found = by_check(await consult(replace(SETTINGS, bus=f"kafka://{kafka_servers}", kafka=kafka), database, None))
    assert (found["topic"].state, "CITYBRAIN_KAFKA_RETENTION" in found["topic"].advice) == ("warn", True)
    declared = replace(kafka, retention=timedelta(days=2))
    found = by_check(await consult(replace(SETTINGS, bus=f"kafka://{kafka_servers}", kafka=declared), database, None))
    assert (found["topic"].state, "says 172800000" in found["topic"].advice) == ("fail", True)
    found = by_check(await consult(replace(SETTINGS, bus="kafka://127.0.0.1:1"), database, None))
    assert found["bus"].state == "fail"
    assert "127.0.0.1:1" in found["bus"].found


def test_the_command_exits_1_when_something_failed_and_0_when_nothing_did(database: str, tmp_path: Path) -> None:
    well = run("doctor", "--json", cwd=tmp_path, environment={"CITYBRAIN_DATABASE_URL": database})
    assert {one["state"] for one in json.loads(well.ok().out)["items"]} == {"ok", "warn"}
    ill = run("doctor", cwd=tmp_path, environment={"CITYBRAIN_DATABASE_URL": "postgresql://city:very-secret@127.0.0.1:1/city"})
    assert ill.code == 1
    assert "fail  database" in ill.out
    assert "→ start the database" in ill.out
    assert "very-secret" not in ill.out + ill.err


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_of_a_kafka_that_is_not_there_the_report_tells_and_no_line_of_a_log(level: str, database: str, tmp_path: Path) -> None:
    away = {"CITYBRAIN_DATABASE_URL": database, "CITYBRAIN_BUS": "kafka://127.0.0.1:1", "CITYBRAIN_LOG_LEVEL": level}
    ill = run("doctor", cwd=tmp_path, environment=away)
    assert (ill.code, ill.err) == (1, "")
    assert "fail  bus         Kafka cannot be used: 127.0.0.1:1 refuses connections" in ill.out
    refused = run("dead", "requeue", "--all", cwd=tmp_path, environment=away)
    assert refused.out == ""
    assert refused.err.splitlines() == refused.complaint
    assert "127.0.0.1:1 refuses connections" in refused.err
