"""Settings: `CITYBRAIN_*` variables, read once at start, cross-checked, frozen. Only runner and the command line read them.

Every variable is in `VARIABLES`, with what it means; unknown ones are refused with the nearest name, so that a misspelt
setting never passes silently. `CITYBRAIN_TEST_*` and `CITYBRAIN_BIN` belong to tests and are ignored. A secret's value is
never part of a message.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from dotenv import dotenv_values

from citybrain.bus.kafka_settings import COMPRESSIONS, MECHANISMS, SECURITY, KafkaSettings
from citybrain.errors import SettingsError
from citybrain.store.timescale import CHUNK

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PREFIX = "CITYBRAIN_"
MIN_ADMIN_KEY = 24
VARIABLES: Mapping[str, str] = MappingProxyType({
    "CITYBRAIN_ADMIN_KEY": f"the first admin key, at least {MIN_ADMIN_KEY} characters",
    "CITYBRAIN_ADMIN_KEY_FILE": "a file that holds it, instead",
    "CITYBRAIN_BUS": "postgres, or kafka://host:port,host:port",
    "CITYBRAIN_BUS_PARTITIONS": "partitions of a new topic on the Postgres bus (4)",
    "CITYBRAIN_BUS_RETENTION": "how long records that every role has read stay on the Postgres bus (1h)",
    "CITYBRAIN_CITY": "the folder of the city profile; without it the one that is shipped",
    "CITYBRAIN_DATABASE_URL": "postgresql://…, the database of a cluster",
    "CITYBRAIN_DATABASE_URL_FILE": "a file that holds it, instead",
    "CITYBRAIN_DELIVERY_HTTP": "true allows webhooks by plain http to CITYBRAIN_DELIVERY_NETWORKS",
    "CITYBRAIN_DELIVERY_NETWORKS": "CIDRs that webhooks may reach besides public addresses",
    "CITYBRAIN_KAFKA_BATCH_BYTES": "the largest batch that is sent to Kafka (262144)",
    "CITYBRAIN_KAFKA_CA_FILE": "PEM file of the authorities that Kafka's certificate is checked against; without it the system's",
    "CITYBRAIN_KAFKA_CERT_FILE": "PEM file of our certificate, where Kafka asks for one",
    "CITYBRAIN_KAFKA_COMPRESSION": "lz4 (default) or zstd",
    "CITYBRAIN_KAFKA_CREATE_TOPICS": "true (default), or false: topics are there and are only checked",
    "CITYBRAIN_KAFKA_KEY_FILE": "PEM file of the key of CITYBRAIN_KAFKA_CERT_FILE",
    "CITYBRAIN_KAFKA_LINGER_MS": "how long an append waits for company, in ms (5)",
    "CITYBRAIN_KAFKA_PARTITIONS": "partitions of topics; without it a new one gets 12, and one that is there may have any number",
    "CITYBRAIN_KAFKA_PASSWORD": "the password of CITYBRAIN_KAFKA_USER",
    "CITYBRAIN_KAFKA_PASSWORD_FILE": "a file that holds it, instead",
    "CITYBRAIN_KAFKA_REPLICATION": "copies of a new topic (3)",
    "CITYBRAIN_KAFKA_RETENTION": "how long a topic keeps records, read or not, at least; without it a new one gets 7d",
    "CITYBRAIN_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512 (default), SCRAM-SHA-256 or PLAIN",
    "CITYBRAIN_KAFKA_SECURITY": "PLAINTEXT (default), SSL, SASL_PLAINTEXT or SASL_SSL",
    "CITYBRAIN_KAFKA_SESSION_TIMEOUT": "after so long without a sign of life a worker's partitions move on (30s)",
    "CITYBRAIN_KAFKA_USER": "who we are, with SASL",
    "CITYBRAIN_LOG_LEVEL": "debug, info (default), warning or error",
    "CITYBRAIN_METRICS_PORT": "a port of its own for /metrics, without a key, on the address of --host",
    "CITYBRAIN_PUBLIC_URL": "where people and receivers reach this city: links in webhooks begin with it",
    "CITYBRAIN_SINGLE_REPLICA": "true lets a cluster start on a broker that keeps fewer than three copies",
    "CITYBRAIN_STORAGE_CHUNK": "how much time a chunk of events or minutes holds, with TimescaleDB (7d)",
    "CITYBRAIN_STORAGE_COMPRESS_AFTER": "chunks that ended so long ago are laid in columns, with TimescaleDB (14d)",
    "CITYBRAIN_STORAGE_KEEP_DELIVERIES": "how long deliveries that ended, and their attempts, are kept (90d)",
})  # fmt: skip
_SECRETS = ("CITYBRAIN_ADMIN_KEY", "CITYBRAIN_DATABASE_URL", "CITYBRAIN_KAFKA_PASSWORD")  # each may be in a file: …_FILE
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LEVELS = ("debug", "info", "warning", "error")
_HOUR, _CENTURY = timedelta(hours=1), timedelta(days=36_500)
_SESSION = (timedelta(seconds=1), timedelta(minutes=30))  # the broker has bounds of its own, within these by default


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. `admin_key`, `database_url` and `kafka` hold secrets: never log this object."""

    admin_key: str | None
    bus: str
    bus_partitions: int
    bus_retention: timedelta
    city: Path | None
    database_url: str | None
    delivery_http: bool
    delivery_networks: tuple[Network, ...]
    kafka: KafkaSettings
    log_level: str
    metrics_port: int | None
    public_url: str | None
    single_replica: bool
    storage_chunk: timedelta
    storage_compress_after: timedelta
    storage_keep_deliveries: timedelta

    def __repr__(self) -> str:
        return "Settings(…)"


def read_settings(environment: Mapping[str, str] | None = None, dotenv: Path | None = None) -> Settings:
    """Settings from the environment, then from a `.env` in the working folder. Raises SettingsError, one line."""
    values = _known(dotenv_values(dotenv or Path.cwd() / ".env", interpolate=False))
    values |= _known(os.environ if environment is None else environment)
    values |= _from_files(values)
    return Settings(
        admin_key=_admin_key(values),
        bus=_bus(values),
        bus_partitions=_integer(values, "CITYBRAIN_BUS_PARTITIONS", 4, 1, 1024),
        bus_retention=_duration(values, "CITYBRAIN_BUS_RETENTION", _HOUR),
        city=Path(values["CITYBRAIN_CITY"]) if "CITYBRAIN_CITY" in values else None,
        database_url=_database_url(values),
        delivery_http=_flag(values, "CITYBRAIN_DELIVERY_HTTP"),
        delivery_networks=_networks(values, "CITYBRAIN_DELIVERY_NETWORKS"),
        kafka=_kafka(values),
        log_level=_choice(values, "CITYBRAIN_LOG_LEVEL", "info", _LEVELS),
        metrics_port=_integer(values, "CITYBRAIN_METRICS_PORT", 0, 0, 65535) or None,
        public_url=_public_url(values),
        single_replica=_flag(values, "CITYBRAIN_SINGLE_REPLICA"),
        storage_chunk=_duration(values, "CITYBRAIN_STORAGE_CHUNK", CHUNK, _HOUR, timedelta(days=366)),
        storage_compress_after=_duration(values, "CITYBRAIN_STORAGE_COMPRESS_AFTER", timedelta(days=14)),
        storage_keep_deliveries=_duration(values, "CITYBRAIN_STORAGE_KEEP_DELIVERIES", timedelta(days=90)),
    )


def _known(source: Mapping[str, str | None]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in source.items():
        if not name.startswith(PREFIX) or name == "CITYBRAIN_BIN" or name.startswith("CITYBRAIN_TEST_"):
            continue
        if name not in VARIABLES:
            near = difflib.get_close_matches(name, VARIABLES, 1, 0.6)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"unknown setting {name}{hint}")
        if value:
            found[name] = value
    return found


def _from_files(values: Mapping[str, str]) -> dict[str, str]:
    """The secrets that are given as files, without the newline at the end."""
    found: dict[str, str] = {}
    for name in _SECRETS:
        file = _file(values, f"{name}_FILE")
        if file is None:
            continue
        if name in values:
            raise SettingsError(f"set {name} or {name}_FILE, not both")
        try:
            found[name] = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{name}_FILE: {file} cannot be read") from error
    return found


def _admin_key(values: Mapping[str, str]) -> str | None:
    key = values.get("CITYBRAIN_ADMIN_KEY")
    if key is not None and (len(key) < MIN_ADMIN_KEY or not key.isascii() or not key.isprintable() or " " in key):
        raise SettingsError(f"CITYBRAIN_ADMIN_KEY needs at least {MIN_ADMIN_KEY} printable ASCII characters without spaces")
    return key


def _bus(values: Mapping[str, str]) -> str:
    bus = values.get("CITYBRAIN_BUS", "postgres")
    if bus != "postgres" and not re.fullmatch(r"kafka://[^\s,/@]+:\d{1,5}(,[^\s,/@]+:\d{1,5})*", bus):
        raise SettingsError("CITYBRAIN_BUS must be postgres or kafka://host:port,host:port")
    return bus


def _database_url(values: Mapping[str, str]) -> str | None:
    url = values.get("CITYBRAIN_DATABASE_URL")
    if url is not None and not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError("CITYBRAIN_DATABASE_URL must begin with postgresql://")
    return url


def _public_url(values: Mapping[str, str]) -> str | None:
    url = values.get("CITYBRAIN_PUBLIC_URL")
    if url is not None and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise SettingsError("CITYBRAIN_PUBLIC_URL must be like https://city.example.org")
    return None if url is None else url.rstrip("/")


def _networks(values: Mapping[str, str], name: str) -> tuple[Network, ...]:
    found: list[Network] = []
    for part in filter(None, (text.strip() for text in values.get(name, "").split(","))):
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError as error:
            raise SettingsError(f"{name}: {part} is no network: {error}") from error
    return tuple(found)


def _kafka(values: Mapping[str, str]) -> KafkaSettings:
    name = "CITYBRAIN_KAFKA_"
    settings = KafkaSettings(
        security=_choice(values, f"{name}SECURITY", "plaintext", tuple(map(str.lower, SECURITY))).upper(),
        sasl_mechanism=_choice(values, f"{name}SASL_MECHANISM", "scram-sha-512", tuple(map(str.lower, MECHANISMS))).upper(),
        user=values.get(f"{name}USER"),
        password=values.get(f"{name}PASSWORD"),
        ca_file=_file(values, f"{name}CA_FILE"),
        cert_file=_file(values, f"{name}CERT_FILE"),
        key_file=_file(values, f"{name}KEY_FILE"),
        linger_ms=_integer(values, f"{name}LINGER_MS", 5, 0, 1000),
        batch_bytes=_integer(values, f"{name}BATCH_BYTES", 256 * 1024, 1024, 1024 * 1024),
        compression=_choice(values, f"{name}COMPRESSION", "lz4", COMPRESSIONS),
        partitions=_integer(values, f"{name}PARTITIONS", 0, 1, 10_000) or None,
        retention=_duration(values, f"{name}RETENTION", None, _HOUR),
        replication=_integer(values, f"{name}REPLICATION", 3, 1, 15),
        create_topics=_choice(values, f"{name}CREATE_TOPICS", "true", ("true", "false")) == "true",
        session_timeout_s=int(_duration(values, f"{name}SESSION_TIMEOUT", timedelta(seconds=30), *_SESSION).total_seconds()),
        single_replica=_flag(values, "CITYBRAIN_SINGLE_REPLICA"),
    )
    _check_kafka(settings)
    return settings


def _check_kafka(settings: KafkaSettings) -> None:
    """Settings that contradict each other would show only as a connection that fails."""
    name = "CITYBRAIN_KAFKA_"
    sasl, tls = settings.security.startswith("SASL"), settings.security.endswith("SSL")
    if sasl and (settings.user is None or settings.password is None):
        raise SettingsError(f"{name}SECURITY={settings.security} needs {name}USER and {name}PASSWORD or {name}PASSWORD_FILE")
    if not sasl and (settings.user is not None or settings.password is not None):
        raise SettingsError(f"{name}USER and {name}PASSWORD need {name}SECURITY=SASL_SSL or SASL_PLAINTEXT")
    if not tls and (settings.ca_file or settings.cert_file or settings.key_file):
        raise SettingsError(f"{name}CA_FILE, _CERT_FILE and _KEY_FILE need {name}SECURITY=SSL or SASL_SSL")
    if settings.key_file is not None and settings.cert_file is None:
        raise SettingsError(f"{name}KEY_FILE needs {name}CERT_FILE")


def _file(values: Mapping[str, str], name: str) -> Path | None:
    if name not in values:
        return None
    file = Path(values[name])
    if not file.is_file():
        raise SettingsError(f"{name}: there is no file {file}")
    return file


def _flag(values: Mapping[str, str], name: str) -> bool:
    return _choice(values, name, "false", ("true", "false")) == "true"


def _choice(values: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = values.get(name, default).lower()
    if value not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}")
    return value


def _integer(values: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = values.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
        raise SettingsError(f"{name} must be a whole number from {low} to {high}")
    return int(text)


_Default = TypeVar("_Default", timedelta, timedelta | None)


def _duration(
    values: Mapping[str, str], name: str, default: _Default, least: timedelta = timedelta(0), most: timedelta = _CENTURY
) -> timedelta | _Default:
    text = values.get(name)
    if text is None:
        return default
    match = _DURATION.fullmatch(text)
    if match is None:
        raise SettingsError(f"{name} must be a duration like 30s, 15m, 1h or 90d")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if not least.total_seconds() <= seconds <= most.total_seconds():
        raise SettingsError(f"{name} must be a duration from {_as_duration(least)} to {_as_duration(most)}")
    return timedelta(seconds=seconds)


def _as_duration(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    unit = next(unit for unit in reversed(_SECONDS) if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"
