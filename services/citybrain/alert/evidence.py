"""Which events an alert shows: the last ones of the window that fired. Called by alert.passes before it records.

Never looks through the table of events: assets by their index, areas through the minutes of the assets beneath them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from citybrain.alert.conditions import codes_beneath
from citybrain.alert.outcome import Outcome, Pass
from citybrain.rulebook.model import Absence, Threshold
from citybrain.store import alerts, changes
from citybrain.store.alerts import Window
from citybrain_schemas.events import EVENT_TYPES

MOST_EVENTS = 20
MOST_SUBJECTS = 20


async def add_evidence(a_pass: Pass, outcomes: Sequence[Outcome]) -> None:
    """Fill in `events` of those whose window was looked at."""
    by_metric: defaultdict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        if one.window is not None and one.figures is not None:
            by_metric[one.rule.metric if isinstance(one.rule, Threshold) else one.rule.of].append(one)
    for members in by_metric.values():
        await _add(a_pass, members, _types(members[0].rule))


def _types(rule: Threshold | Absence) -> Collection[str]:
    if isinstance(rule, Absence):
        return [rule.of]
    return [name for name, one in EVENT_TYPES.items() if rule.metric in one.metrics]


async def _add(a_pass: Pass, outcomes: Sequence[Outcome], types: Collection[str]) -> None:
    windows: list[Window] = []
    for n, one in enumerate(outcomes):
        if one.place.subject is not None and one.window is not None:
            windows.append(Window(n, one.place.subject, *one.window))
    windows += await _beneath(a_pass, outcomes)
    found: defaultdict[int, list[tuple[float, str, str]]] = defaultdict(list)
    for number, event, source, time in await alerts.last_events(a_pass.connection, windows, types, MOST_EVENTS):
        found[number].append((-time.timestamp(), event, source))
    for n, one in enumerate(outcomes):
        one.events = [(event, source) for _, event, source in sorted(found[n])[:MOST_EVENTS]]


async def _beneath(a_pass: Pass, outcomes: Sequence[Outcome]) -> list[Window]:
    """The assets beneath areas with readings in the windows."""
    areas = [(n, one, one.rule) for n, one in enumerate(outcomes) if one.place.subject is None and one.window is not None]
    parents: list[Window] = []
    for n, one, rule in areas:
        if isinstance(rule, Threshold) and one.window is not None and a_pass.city.areas.known(one.place.area):
            codes = codes_beneath(a_pass.city, one.place.area, one.window[0])
            rows = await changes.series_of_areas(a_pass.connection, rule.metric, codes)
            parents += [Window(n, row.number, *one.window) for row in rows]
    found: defaultdict[int, list[str]] = defaultdict(list)
    for number, subject in await alerts.subjects_beneath(a_pass.connection, parents):
        found[number].append(subject)
    spans = {n: one.window for n, one, _ in areas if one.window is not None}
    return [Window(n, subject, *spans[n]) for n, subjects in found.items() for subject in subjects[:MOST_SUBJECTS]]
