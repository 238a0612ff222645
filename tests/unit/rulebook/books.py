"""A rule book to break, and what its reader says of it."""

from __future__ import annotations

from citybrain.city import ProfileError
from citybrain.rulebook.model import RuleBook
from citybrain.rulebook.read import rule_book

BOOK = """\
rules:
  - rule: lot_full
    title: {en: Parking lot full, zh: 停车场已满}
    metric: parking.occupied_ratio
    per: subject
    window: 15m
    when: avg >= 0.95 and count >= 3
    clear: avg < 0.85
    for: 5m
    keep_firing_for: 10m
    no_data: ok
    severity: major
    labels: {team: traffic}
    annotations: {en: "{subject} is {avg:.0%} full", zh: "{subject}"}
    lateness: 3d
    early: true
    renamed_from: full_lot
  - rule: burst
    kind: change
    metric: water.pressure
    per: street
    window: 60s
    when: avg < previous * 0.7
    inhibits: [{rule: lot_full, same: [street, team]}]
  - rule: meter_silent
    kind: absence
    of: utility.reading
    longer_than: 30m
routes:
  - match: {team: traffic, rule: lot_full, severity: major, area: 610602}
    to: [traffic-duty]
    group_by: [rule, street, team]
    group_wait: 0s
    group_interval: 1m
    repeat_interval: 12h
    continue: true
    escalate: [{after: 15m, unless: acknowledged, to: [duty-chief]}]
  - to: [everybody]
tests:
  - rule: lot_full
    events:
      - {type: parking.occupancy, time: "2026-11-23T08:00:00+08:00", subject: 0031, data: {occupied: 97, capacity: 100}}
    expect:
      - {subject: 0031, started_at: 2026-11-23T08:01:00+08:00}
"""
FILE = "rules/book.yaml"


def book(text: str = BOOK, **files: str) -> RuleBook:
    named = {f"rules/{name}.yaml": content.encode() for name, content in files.items()}
    return rule_book({FILE: text.encode()} | named)


def mistakes(text: str, endpoints: list[str] | None = None, **files: str) -> list[str]:
    named = {f"rules/{name}.yaml": content.encode() for name, content in files.items()}
    try:
        rule_book({FILE: text.encode()} | named, endpoints)
    except ProfileError as error:
        return [str(one) for one in error.mistakes]
    return []
