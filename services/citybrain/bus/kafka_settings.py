"""How Kafka is reached and used: one frozen object, read by `settings`, given to `open_kafka_bus`. Never logs, never connects."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from citybrain.errors import SettingsError

SECURITY = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
COMPRESSIONS = ("lz4", "zstd")
SAFE_REPLICATION, SAFE_IN_SYNC = 3, 2


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """What CITYBRAIN_KAFKA_* say. `partitions` and `retention`: of a new topic; when None, an existing topic may have any."""

    security: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    linger_ms: int = 5
    batch_bytes: int = 256 * 1024
    compression: str = "lz4"
    partitions: int | None = None
    retention: timedelta | None = None
    replication: int = SAFE_REPLICATION
    create_topics: bool = True
    session_timeout_s: int = 30
    single_replica: bool = False


def connection_arguments(servers: str, settings: KafkaSettings) -> dict[str, object]:
    """What every client of aiokafka is given. Raises SettingsError when a certificate cannot be read."""
    arguments: dict[str, object] = {"bootstrap_servers": servers, **security_arguments(settings)}
    return arguments


def security_arguments(settings: KafkaSettings) -> dict[str, object]:
    """The part of it that one connection needs."""
    arguments: dict[str, object] = {"security_protocol": settings.security}
    if settings.security.endswith("SSL"):
        arguments["ssl_context"] = _tls(settings)
    if settings.security.startswith("SASL"):
        arguments |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.user,
            "sasl_plain_password": settings.password,
        }
    return arguments


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"CITYBRAIN_KAFKA_CA_FILE: {settings.ca_file} cannot be used: {error}") from error
    if settings.cert_file is not None:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"CITYBRAIN_KAFKA_CERT_FILE: {settings.cert_file} cannot be used: {error}") from error
    return context
