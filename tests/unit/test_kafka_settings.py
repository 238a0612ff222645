"""CITYBRAIN_KAFKA_*: read, cross-checked, refused in one line; and what a topic has to be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.bus.kafka_topics import DEFAULT_RETENTION, EVENT_BYTES, TopicFacts, check_topic, retention_risk
from citybrain.errors import SettingsError
from citybrain.settings import read_settings

DAY_MS = 86_400_000


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
        ({"KAFKA_SESSION_TIMEOUT": "0s"}, "CITYBRAIN_KAFKA_SESSION_TIMEOUT must be a duration from 1s to 30m"),
        ({"KAFKA_SESSION_TIMEOUT": "31m"}, "from 1s to 30m"),
        ({"KAFKA_RETENTION": "3599s"}, "CITYBRAIN_KAFKA_RETENTION must be a duration from 1h to 36500d"),
        ({"KAFKA_RETENTION": "999999999d"}, "from 1h to 36500d"),
        ({"STORAGE_CHUNK": "59m"}, "CITYBRAIN_STORAGE_CHUNK must be a duration from 1h to 366d"),
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


SAFE = TopicFacts(12, 3, 2, "delete", 1_048_588, 7 * DAY_MS)


def test_a_topic_that_loses_nothing_is_taken_and_so_is_one_whose_settings_cannot_be_seen() -> None:
    for facts in (SAFE, replace(SAFE, retention_ms=-1), replace(SAFE, max_message_bytes=EVENT_BYTES), TopicFacts(12, 3, 2)):
        check_topic("events", facts, KafkaSettings())
        check_topic("events", facts, KafkaSettings(retention=timedelta(days=7)))
        assert retention_risk(facts, KafkaSettings()) is None


@pytest.mark.parametrize(
    ("facts", "settings", "told"),
    [
        (replace(SAFE, cleanup_policy="compact"), KafkaSettings(), "events has cleanup.policy=compact: .* alter it to delete"),
        (replace(SAFE, cleanup_policy="compact,delete"), KafkaSettings(single_replica=True), "cleanup.policy=compact,delete"),
        (replace(SAFE, max_message_bytes=262_144), KafkaSettings(), "max.message.bytes=262144: .* alter it to 327680 or more"),
        (replace(SAFE, max_message_bytes=500_000), KafkaSettings(batch_bytes=600_000), "CITYBRAIN_KAFKA_BATCH_BYTES=600000"),
        (
            replace(SAFE, retention_ms=DAY_MS),
            KafkaSettings(retention=timedelta(days=2)),
            "retention.ms=86400000, CITYBRAIN_KAFKA_RETENTION says 172800000: alter",
        ),
        (
            replace(SAFE, cleanup_policy="compact", max_message_bytes=1),
            KafkaSettings(),
            "topic events has cleanup.policy.*; has max.message.bytes",
        ),
    ],
)
def test_a_topic_that_would_lose_events_is_refused_with_what_to_do(facts: TopicFacts, settings: KafkaSettings, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        check_topic("events", facts, settings)


def test_a_short_retention_that_nobody_declared_is_a_risk_and_no_error() -> None:
    short = replace(SAFE, retention_ms=DEFAULT_RETENTION // timedelta(milliseconds=1) - 1)
    check_topic("events", short, KafkaSettings())
    assert "CITYBRAIN_KAFKA_RETENTION" in (retention_risk(short, KafkaSettings()) or "")
    assert retention_risk(short, KafkaSettings(retention=timedelta(hours=1))) is None
