"""Alerts, their logs and deliveries of the seeded city, as alert and deliver would have left them. Used by seeding.py."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from citybrain.city import City
from citybrain.store.pool import Connection

A_DAY = 12
OPEN = 14


class Rule(NamedTuple):
    """What it is called, how bad it is, which assets it is about."""

    name: str
    severity: str
    en: str
    zh: str
    prefix: str
    duty: str


RULES = (
    Rule("lot_full", "warning", "Car park full", "停车场已满", "lot", "traffic-duty"),
    Rule("meter_silent", "major", "Meter is silent", "表计失联", "water-cons", "water-duty"),
    Rule("low_pressure", "major", "Low water pressure", "供水压力低", "pump", "water-duty"),
    Rule("bin_overflow", "warning", "Bin is overflowing", "垃圾桶满溢", "bin", "sanitation-duty"),
    Rule("gas_leak", "critical", "Gas leak reported", "燃气泄漏", "gas-cons", "gas-duty"),
    Rule("supply_cold", "info", "Supply is cold", "供水温度偏低", "heat-temp", "heat-duty"),
)
_ALERT = (
    "alert_id", "rule", "scope", "rule_version", "severity", "state", "provisional", "sequence", "area", "path", "subject",
    "labels", "title", "summary", "threshold", "value", "started_at", "since", "fired_at", "ended_at", "opened_at", "changed_at",
    "handling", "handled_by",
)  # fmt: skip
_LOG = ("alert_id", "entry", "at", "kind", "tick", "provisional", "by")
_DELIVERY = (
    "delivery_id", "webhook_id", "endpoint_id", "type", "body", "alert_ids", "made_at", "state", "attempts", "next_attempt_at",
    "ended_at", "last_error",
)  # fmt: skip


async def put_alerts(connection: Connection, city: City, end: datetime, dice: random.Random, days: int = 365) -> None:
    """So many a day up to `end`, the last ones open; each told when it fired and when it ended."""
    where = {row["subject"]: row["area"] for row in await connection.fetch("select subject, area from asset_state")}
    endpoints = await _endpoints(connection)
    by_rule = {rule: [one for one in sorted(where) if one.startswith(f"{rule.prefix}-")] for rule in RULES}
    alerts, log, deliveries = [], [], []
    for n in range(A_DAY * days):
        is_open = n < OPEN
        rule = RULES[n % len(RULES)] if is_open else dice.choices(RULES, (8, 4, 2, 6, 1, 3))[0]
        subject = dice.choice(by_rule[rule])
        if is_open:
            subject = f"{rule.prefix}-{n // len(RULES) + 1:03}"
        back = timedelta(minutes=12 + 41 * n) if is_open else timedelta(days=dice.uniform(0.5, days))
        started = (end - back).replace(second=0, microsecond=0)
        ended = None if is_open else started + timedelta(minutes=int(dice.expovariate(1 / 50)) + 3)
        alert_id = UUID(int=dice.getrandbits(128), version=4)
        path = list(city.areas.path_at(where[subject], started))
        handling = "acknowledged" if n % 3 == 1 else "open"
        alerts.append(_alert(alert_id, rule, subject, path, (started, ended), handling))
        moments = [("firing", started)] + ([("resolved", ended)] if ended is not None else [])
        for entry, (kind, at) in enumerate(moments):
            log.append((alert_id, entry, at + timedelta(seconds=2), kind, at, False, None))
            deliveries.append(_delivery(dice, endpoints[rule.duty], alert_id, kind, at))
        if handling == "acknowledged":
            log.append((alert_id, len(moments), started + timedelta(minutes=4), "acknowledged", None, False, "duty-1"))
    await connection.copy_records_to_table("alert", records=alerts, columns=_ALERT)
    await connection.copy_records_to_table("alert_log", records=log, columns=_LOG)
    await connection.copy_records_to_table("delivery", records=deliveries, columns=_DELIVERY)


def _alert(
    alert_id: UUID, rule: Rule, subject: str, path: list[str], span: tuple[datetime, datetime | None], handling: str
) -> tuple[object, ...]:
    started, ended = span
    summary = json.dumps({"en": f"{rule.en}: {subject}", "zh": f"{rule.zh}：{subject}"})
    title, labels = json.dumps({"en": rule.en, "zh": rule.zh}), json.dumps({"team": rule.duty})
    changed = ended or started
    return (
        alert_id, rule.name, f"subject:{subject}", 1, rule.severity, "firing" if ended is None else "resolved", False, 1,
        path[0], path, subject, labels, title, summary, "avg >= 0.95", "{}", started, started, started, ended,
        started + timedelta(seconds=2), changed + timedelta(seconds=2), handling,
        "duty-1" if handling == "acknowledged" else None,
    )  # fmt: skip


async def _endpoints(connection: Connection) -> dict[str, UUID]:
    found = {}
    for name in sorted({rule.duty for rule in RULES}):
        row = await connection.fetchrow(
            "insert into endpoint (endpoint_id, name, url, format, made_by)"
            " values (gen_random_uuid(), $1, 'https://duty.example/' || $1, 'citybrain', 'seed') returning endpoint_id",
            name,
        )
        assert row is not None
        found[name] = row["endpoint_id"]
    return found


def _delivery(dice: random.Random, endpoint: UUID, alert_id: UUID, kind: str, at: datetime) -> tuple[object, ...]:
    number, luck = UUID(int=dice.getrandbits(128), version=4), dice.random()
    state = "delivered" if luck < 0.985 else "gave_up" if luck < 0.995 else "waiting"
    attempts = 1 if luck < 0.95 else 4
    ended = None if state == "waiting" else at + timedelta(seconds=3)
    error = None if attempts == 1 else "status 503"
    return (
        number, f"msg_{number.hex}", endpoint, f"alert.{kind}", b"{}", [alert_id], at + timedelta(seconds=2), state, attempts,
        at + timedelta(minutes=5), ended, error,
    )  # fmt: skip
