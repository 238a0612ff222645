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

from dotenv import dotenv_values

from citybrain.errors import SettingsError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PREFIX = "CITYBRAIN_"
MIN_ADMIN_KEY = 24
VARIABLES: Mapping[str, str] = MappingProxyType({
    "CITYBRAIN_ADMIN_KEY": f"the first admin key, at least {MIN_ADMIN_KEY} characters",
    "CITYBRAIN_BUS": "postgres, or kafka://host:port,host:port",
    "CITYBRAIN_BUS_PARTITIONS": "partitions of a new topic on the Postgres bus (4)",
    "CITYBRAIN_BUS_RETENTION": "how long records that every role has read stay on the Postgres bus (1h)",
    "CITYBRAIN_CITY": "the folder of the city profile; without it the one that is shipped",
    "CITYBRAIN_DATABASE_URL": "postgresql://…, the database of a cluster",
    "CITYBRAIN_DELIVERY_HTTP": "true allows webhooks by plain http to CITYBRAIN_DELIVERY_NETWORKS",
    "CITYBRAIN_DELIVERY_NETWORKS": "CIDRs that webhooks may reach besides public addresses",
    "CITYBRAIN_LOG_LEVEL": "debug, info (default), warning or error",
    "CITYBRAIN_METRICS_PORT": "a port of its own for /metrics, without a key",
    "CITYBRAIN_PUBLIC_URL": "where people and receivers reach this city: links in webhooks begin with it",
    "CITYBRAIN_SINGLE_REPLICA": "true lets a cluster start on a broker that keeps fewer than three copies",
})  # fmt: skip
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. `admin_key` and `database_url` are secrets: never log this object."""

    admin_key: str | None
    bus: str
    bus_partitions: int
    bus_retention: timedelta
    city: Path | None
    database_url: str | None
    delivery_http: bool
    delivery_networks: tuple[Network, ...]
    log_level: str
    metrics_port: int | None
    public_url: str | None
    single_replica: bool

    def __repr__(self) -> str:
        return "Settings(…)"


def read_settings(environment: Mapping[str, str] | None = None, dotenv: Path | None = None) -> Settings:
    """Settings from the environment, then from a `.env` in the working folder. Raises SettingsError, one line."""
    values = _known(dotenv_values(dotenv or Path.cwd() / ".env", interpolate=False))
    values |= _known(os.environ if environment is None else environment)
    return Settings(
        admin_key=_admin_key(values),
        bus=_bus(values),
        bus_partitions=_integer(values, "CITYBRAIN_BUS_PARTITIONS", 4, 1, 1024),
        bus_retention=_duration(values, "CITYBRAIN_BUS_RETENTION", timedelta(hours=1)),
        city=Path(values["CITYBRAIN_CITY"]) if "CITYBRAIN_CITY" in values else None,
        database_url=_database_url(values),
        delivery_http=_flag(values, "CITYBRAIN_DELIVERY_HTTP"),
        delivery_networks=_networks(values, "CITYBRAIN_DELIVERY_NETWORKS"),
        log_level=_choice(values, "CITYBRAIN_LOG_LEVEL", "info", _LEVELS),
        metrics_port=_integer(values, "CITYBRAIN_METRICS_PORT", 0, 0, 65535) or None,
        public_url=_public_url(values),
        single_replica=_flag(values, "CITYBRAIN_SINGLE_REPLICA"),
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


def _duration(values: Mapping[str, str], name: str, default: timedelta) -> timedelta:
    text = values.get(name)
    if text is None:
        return default
    match = _DURATION.fullmatch(text)
    if match is None:
        raise SettingsError(f"{name} must be a duration like 30s, 15m, 1h or 90d")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
