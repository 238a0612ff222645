"""`citybrain doctor`: what a city needs, what was found, and what to do. Called by the command; changes nothing.

Every check ends in findings, whatever goes wrong, and no finding shows a secret.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from citybrain.bus.kafka_topics import check_topic, describe_topic, retention_risk
from citybrain.errors import CitybrainError, SettingsError
from citybrain.settings import Settings
from citybrain.store.checkup import Database, examine
from citybrain.store.pool import address
from citybrain_schemas.topics import EVENTS_TOPIC

State = Literal["ok", "warn", "fail"]
SKEW_WARN_S, SKEW_FAIL_S = 1.0, 60.0
OLDEST_POSTGRES, NEWEST_POSTGRES = 15, 18
FREE_WARN_BYTES, FREE_FAIL_BYTES = 5 << 30, 512 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `advice` is empty when there is nothing to do."""

    check: str
    state: State
    found: str
    advice: str = ""


async def consult(settings: Settings, dsn: str, data: Path | None) -> list[Finding]:
    """All checks of a city: its database, and the folder of an embedded one."""
    found = [Finding("settings", "ok", _settings(settings))]
    try:
        database = await examine(dsn)
    except CitybrainError as error:
        advice = "start the database, or correct CITYBRAIN_DATABASE_URL (host, port, name, user, password, sslmode)"
        found.append(Finding("database", "fail", str(error), advice))
    else:
        found += _database(database, dsn)
    found += await _bus(settings)
    return [*found, *(() if data is None else (_disk(data),))]


def _settings(settings: Settings) -> str:
    """What is in force, without secrets."""
    parts = [f"bus {settings.bus}", f"log level {settings.log_level}"]
    parts.append("an admin key is given" if settings.admin_key else "no admin key is given")
    if settings.single_replica:
        parts.append("one copy of an event is enough")
    return ", ".join(parts)


def _database(database: Database, dsn: str) -> Iterable[Finding]:
    kind = "plain PostgreSQL" if database.timescale is None else f"TimescaleDB {database.timescale}"
    said = f"{address(dsn)}: PostgreSQL {database.version}, {kind}, {database.size_bytes / _GIB:.2f} GiB"
    major = int(database.version.split(".", maxsplit=1)[0])
    if OLDEST_POSTGRES <= major <= NEWEST_POSTGRES:
        yield Finding("database", "ok", said)
    else:
        yield Finding(
            "database", "warn", said, f"PostgreSQL {OLDEST_POSTGRES} to {NEWEST_POSTGRES} are the versions that are tested"
        )
    yield _migrations(database)
    yield _clock(database)
    if not database.missing:
        yield _contents("profile", database.profile, "load one: `citybrain city load DIR`")
        keys = f"{database.keys} valid keys" if database.keys else None
        yield _contents("keys", keys, "give CITYBRAIN_ADMIN_KEY to a role, or run `citybrain keys create --role admin`")


def _migrations(database: Database) -> Finding:
    if database.unknown:
        newer = f"the database has had {', '.join(database.unknown)}, which this version does not know"
        return Finding("migrations", "fail", newer, "run the version of citybrain that migrated it, or a later one")
    if database.missing:
        return Finding("migrations", "fail", f"{', '.join(database.missing)} not applied", "run `citybrain migrate`")
    return Finding("migrations", "ok", "all applied")


def _clock(database: Database) -> Finding:
    ahead = abs(database.skew_s)
    said = f"this machine is {ahead:.3f} s {'ahead of' if database.skew_s > 0 else 'behind'} the database"
    unsure = ahead - database.round_trip_s
    state: State = "fail" if unsure > SKEW_FAIL_S else "warn" if unsure > SKEW_WARN_S else "ok"
    return Finding("clock", state, said, "" if state == "ok" else "let both machines keep time with the same servers (NTP)")


def _contents(check: str, found: str | None, advice: str) -> Finding:
    return Finding(check, "warn", "none", advice) if found is None else Finding(check, "ok", found)


async def _bus(settings: Settings) -> list[Finding]:
    if settings.bus == "postgres":
        return [Finding("bus", "ok", "in the database")]
    servers = settings.bus.removeprefix("kafka://")
    try:
        facts = await describe_topic(servers, settings.kafka, EVENTS_TOPIC)
    except CitybrainError as error:
        return [Finding("bus", "fail", str(error), "start Kafka, or correct CITYBRAIN_BUS and CITYBRAIN_KAFKA_*")]
    reached = Finding("bus", "ok", f"Kafka at {servers} answers")
    if facts is None:
        if settings.kafka.create_topics:
            return [reached, Finding("topic", "warn", f"{EVENTS_TOPIC} is not there yet", "the first role that starts makes it")]
        return [
            reached,
            Finding("topic", "fail", f"{EVENTS_TOPIC} is not there", "make it, or let us: CITYBRAIN_KAFKA_CREATE_TOPICS=true"),
        ]
    said = f"{EVENTS_TOPIC}: {facts.partitions} partitions, {facts.copies} replicas, min.insync.replicas {facts.min_in_sync}"
    try:
        check_topic(EVENTS_TOPIC, facts, settings.kafka)
    except SettingsError as error:
        return [reached, Finding("topic", "fail", said, str(error))]
    risk = retention_risk(facts, settings.kafka)
    return [reached, Finding("topic", "warn" if risk else "ok", said, risk or "")]


def _disk(data: Path) -> Finding:
    usage = shutil.disk_usage(data)
    said = f"{usage.free / _GIB:.1f} of {usage.total / _GIB:.1f} GiB are free where {data} is"
    state: State = "fail" if usage.free < FREE_FAIL_BYTES else "warn" if usage.free < FREE_WARN_BYTES else "ok"
    return Finding("disk", state, said, "" if state == "ok" else "make room, or move the folder while the city is stopped")
