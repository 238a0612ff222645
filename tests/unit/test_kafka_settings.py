"""CITYBRAIN_KAFKA_*: read, cross-checked, refused in one line; and what a topic has to be."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.bus.kafka_topics import TopicFacts, check_topic
from citybrain.errors import SettingsError
from citybrain.settings import read_settings


def kafka(tmp_path: Path, **values: str) -> KafkaSettings:
    environment = {f"CITYBRAIN_{name}": value for name, value in values.items()}
    return read_settings(environment, tmp_path / "none.env").kafka


def test_without_any_setting_the_safe_values_hold(tmp_path: Path) -> None:
    assert kafka(tmp_path) == KafkaSettings()
    assert KafkaSettings().replication == 3


def test_every_setting_is_read(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "some.pem").write_text("pem")
    pem = str(tmp_path / "some.pem")
    found = kafka(
        tmp_path,
        SINGLE_REPLICA="true",
        KAFKA_BATCH_BYTES="100000",
        KAFKA_CA_FILE=pem,
        KAFKA_CERT_FILE=pem,
        KAFKA_COMPRESSION="zstd",
        KAFKA_CREATE_TOPICS="false",
        KAFKA_KEY_FILE=pem,
        KAFKA_LINGER_MS="0",
        KAFKA_PARTITIONS="32",
        KAFKA_PASSWORD_FILE=str(tmp_path / "password"),
        KAFKA_REPLICATION="4",
        KAFKA_RETENTION="30d",
        KAFKA_SASL_MECHANISM="plain",
        KAFKA_SECURITY="sasl_ssl",
        KAFKA_SESSION_TIMEOUT="45s",
        KAFKA_USER="city",
    )
    file = tmp_path / "some.pem"
    assert found == KafkaSettings(
        security="SASL_SSL",
        sasl_mechanism="PLAIN",
        user="city",
        password="secret",  # noqa: S106 - invented
        ca_file=file,
        cert_file=file,
        key_file=file,
        linger_ms=0,
        batch_bytes=100_000,
        compression="zstd",
        partitions=32,
        retention=timedelta(days=30),
        replication=4,
        create_topics=False,
        session_timeout_s=45,
        single_replica=True,
    )
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"KAFKA_SECURITY": "SASL_SSL"}, "CITYBRAIN_KAFKA_USER"),
        ({"KAFKA_USER": "city", "KAFKA_PASSWORD": "x"}, "CITYBRAIN_KAFKA_SECURITY"),
        ({"KAFKA_SECURITY": "TLS"}, "must be one of plaintext, ssl"),
        ({"KAFKA_CA_FILE": __file__}, "CITYBRAIN_KAFKA_SECURITY=SSL"),
        ({"KAFKA_SECURITY": "SSL", "KAFKA_CA_FILE": "/no/such/file"}, "there is no file /no/such/file"),
        ({"KAFKA_SECURITY": "SSL", "KAFKA_KEY_FILE": __file__}, "needs CITYBRAIN_KAFKA_CERT_FILE"),
        ({"KAFKA_PASSWORD": "x", "KAFKA_PASSWORD_FILE": __file__}, "not both"),
        ({"KAFKA_COMPRESSION": "gzip"}, "lz4, zstd"),
        ({"KAFKA_LINGERMS": "5"}, "did you mean CITYBRAIN_KAFKA_LINGER_MS"),
    ],
)
def test_what_contradicts_is_refused_in_one_line(tmp_path: Path, values: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        kafka(tmp_path, **values)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("copies", "in_sync", "fine"), [(3, 2, True), (5, 3, True), (3, 1, False), (2, 2, False), (1, 1, False)])
def test_accepted_events_need_three_copies_and_two_in_sync(copies: int, in_sync: int, fine: bool) -> None:
    facts = TopicFacts(12, copies, in_sync)
    check_topic("events", facts, KafkaSettings(single_replica=True))
    if fine:
        check_topic("events", facts, KafkaSettings())
    else:
        with pytest.raises(SettingsError, match="CITYBRAIN_SINGLE_REPLICA=true starts anyway"):
            check_topic("events", facts, KafkaSettings())
