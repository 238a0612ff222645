"""What the windows of a set of events have to be, worked out the plain way: no columns, no SQL, no order of arrival.

An independent reading of contract.md, "Metrics and windows", in exact fractions. Areas are those of `records.small_city`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from citybrain_schemas.metrics import METRICS
from happenings import Happening, instant
from records import CITY


class Key(NamedTuple):
    """Whose window, and when."""

    step: str
    start: datetime
    metric: str
    area: str
    subject: str | None
    source: str | None


class Said(NamedTuple):
    """One reading: its order, its value and, for ratios, numerator and weight, in millionths."""

    order: tuple[datetime, str, str]
    micros: int
    numerator: int | None
    weight: int | None


@dataclass(frozen=True)
class Expected:
    """A window's columns, in millionths; `value` is exact."""

    count: int
    subjects: int
    sum: int
    min: int
    max: int
    last: int
    value: Fraction | None


def windows(happenings: Iterable[Happening], zone: str) -> dict[Key, Expected]:
    """Every window that has readings: of assets, of sources without a subject, and of all areas above them."""
    leaves: defaultdict[Key, list[Said]] = defaultdict(list)
    for metric, area, subject, source, said in _said(happenings):
        for step in ("1m", "1h", "1d"):
            start = _start(step, said.order[0], ZoneInfo(zone))
            leaves[Key(step, start, metric, area, subject, None if subject else source)].append(said)
    found = {key: _of_leaf(key, said) for key, said in leaves.items()}
    above: defaultdict[Key, list[Key]] = defaultdict(list)
    for key in leaves:
        for area in path(key.area):
            above[key._replace(area=area, subject=None, source=None)].append(key)
    return found | {key: _of_area(key, [(one, leaves[one]) for one in children]) for key, children in above.items()}


def path(area: str) -> Iterator[str]:
    """The area and all above it: codes of `small_city` hold their parents' codes, but for the districts'."""
    while len(area) > 6:
        yield area
        area = area[:-3]
    if area != CITY:
        yield area
    yield CITY


def _said(happenings: Iterable[Happening]) -> Iterator[tuple[str, str, str | None, str, Said]]:
    chains: defaultdict[tuple[str, str, str], list[tuple[Happening, str, int]]] = defaultdict(list)
    for one in happenings:
        for reading in one["readings"]:
            role = reading.get("role")
            if role in {"register", "started", "ended"}:
                chain = role if role == "register" else f"session {reading['chain']}"
                chains[reading["metric"], one["subject"], chain].append((one, role, reading["micros"]))
            else:
                said = Said(_order(one), reading["micros"], reading.get("numerator_micros"), reading.get("weight_micros"))
                yield reading["metric"], one["area"], one.get("subject"), one["source"], said
    for (metric, subject, _), members in chains.items():
        members.sort(key=lambda member: _order(member[0]))
        for (before, role_before, micros_before), (one, role, micros) in pairwise(members):
            gained: int | None = None
            if role == "register" and micros >= micros_before:
                gained = micros - micros_before
            elif (role_before, role) == ("started", "ended"):
                gained = (instant(one) - instant(before)) // timedelta(microseconds=1)
            if gained is not None:
                yield metric, one["area"], subject, one["source"], Said(_order(one), gained, None, None)


def _order(one: Happening) -> tuple[datetime, str, str]:
    return instant(one), one["source"], one["id"]


def _start(step: str, at: datetime, zone: ZoneInfo) -> datetime:
    if step == "1m":
        return at.replace(second=0, microsecond=0)
    if step == "1h":
        return at.replace(minute=0, second=0, microsecond=0)
    return datetime.combine(at.astimezone(zone).date(), time.min, zone).astimezone(UTC)


def _of_leaf(key: Key, said: Sequence[Said]) -> Expected:
    total = sum(one.micros for one in said)
    gauge = METRICS[key.metric].kind == "gauge"
    return _expected(said, 1 if key.subject else 0, Fraction(total, len(said)) if gauge else Fraction(total))


def _of_area(key: Key, children: Sequence[tuple[Key, Sequence[Said]]]) -> Expected:
    metric = METRICS[key.metric]
    averages = [Fraction(sum(one.micros for one in said), len(said)) for _, said in children]
    subjects = sum(child.subject is not None for child, _ in children)
    if metric.kind != "gauge":
        value: Fraction | None = Fraction(sum(one.micros for _, said in children for one in said))
    elif metric.across == "sum":
        value = sum(averages, Fraction(0))
    elif metric.across == "mean":
        value = sum(averages, Fraction(0)) / subjects
    elif metric.across == "max":
        value = max(averages)
    else:
        value = _ratio([said for _, said in children])
    return _expected([one for _, said in children for one in said], subjects, value)


def _ratio(subjects: Sequence[Sequence[Said]]) -> Fraction | None:
    numerators = sum(Fraction(sum(one.numerator or 0 for one in said), len(said)) for said in subjects)
    weights = sum(Fraction(sum(one.weight or 0 for one in said), len(said)) for said in subjects)
    return Fraction(numerators, weights) * 1_000_000 if weights else None


def _expected(said: Sequence[Said], subjects: int, value: Fraction | None) -> Expected:
    values = [one.micros for one in said]
    last = max(said, key=lambda one: (one.order[0], one.order[1].encode(), one.order[2].encode())).micros
    return Expected(len(values), subjects, sum(values), min(values), max(values), last, value)
