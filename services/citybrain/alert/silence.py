"""Absence rules in a pass: whose readings have to be looked at, and what becomes of alerts. Called by alert.passes.

Looked at are: assets that may have fallen silent at the new final ticks, those that ended their silence, those that spoke
late, and those of which something is settled now. What is decided is in absence and episodes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np

from citybrain.alert.absence import Silence, Stand, silences
from citybrain.alert.episodes import Span, reconcile
from citybrain.alert.gaps import Gaps
from citybrain.alert.outcome import Outcome, Pass, Place, as_row, micros_of, moment_of
from citybrain.alert.spans import lateness_of
from citybrain.alert.ticks import MINUTE_MICROS
from citybrain.rulebook.model import Absence
from citybrain.store import absences, alerts
from citybrain.store.alerts import AlertRow

_MICROSECOND = timedelta(microseconds=1)
MOST_AT_ONCE = 5_000
Late = Sequence[tuple[str, str, int]]  # subject, type, minute


def silence_of(rule: Absence, gaps: Gaps) -> Silence:
    """How long the rule lets an asset be silent."""
    return Silence(rule.longer_than // _MICROSECOND, gaps)


async def look(a_pass: Pass, rule: Absence, late: Late, spoken: Collection[str], *, fresh: bool) -> list[Outcome]:
    """What becomes of the alerts of a rule. `spoken`: assets that ended a silence. A fresh rule looks at all that is open."""
    lateness = lateness_of(rule, a_pass.city.settings.lateness)
    base, settled = a_pass.before - lateness, a_pass.final - lateness
    subjects = set(spoken) | {subject for subject, kind, minute in late if kind == rule.of and minute >= base}
    after = base if fresh else a_pass.before
    if after < a_pass.final:
        subjects |= await _fallen(a_pass, rule, after)
        subjects |= await absences.settling(a_pass.connection, rule.name, moment_of(settled))
    found: list[Outcome] = []
    ordered = sorted(subjects)
    for at in range(0, len(ordered), MOST_AT_ONCE):
        found += await _of_assets(a_pass, rule, ordered[at : at + MOST_AT_ONCE], Span(base, settled, a_pass.final, a_pass.final))
    return found


async def _of_assets(a_pass: Pass, rule: Absence, subjects: Sequence[str], span: Span) -> list[Outcome]:
    """What becomes of the alerts of some assets."""
    readings = await absences.readings(a_pass.connection, rule.of, subjects, moment_of(span.base))
    places = await absences.states(a_pass.connection, rule.of, subjects)
    rows: defaultdict[str, list[AlertRow]] = defaultdict(list)
    for row in await alerts.open_alerts(a_pass.connection, [rule.name], [f"subject:{one}" for one in subjects]):
        rows[row.scope].append(row)
    found: list[Outcome] = []
    for subject in sorted(readings):
        if subject in places:
            area, source = places[subject]
            place = Place(f"subject:{subject}", area, subject, source)
            times = [micros_of(one) for one in readings[subject]]
            found += _outcomes(rule, place, times, rows.get(place.scope, []), (span, silence_of(rule, a_pass.gaps)))
    return found


async def _fallen(a_pass: Pass, rule: Absence, after: int) -> set[str]:
    """Assets whose silence may begin at a tick in (after, final]: those that spoke just so long ago. One that begins right
    after another began a tick later than it would have alone."""
    longer_than, gaps = silence_of(rule, a_pass.gaps)
    ticks = np.array([after - 1, a_pass.final], np.int64) * MINUTE_MICROS
    begin, end = gaps.moments(gaps.running(ticks) - longer_than - np.array([1, 0], np.int64)).tolist()
    epoch = moment_of(0)
    span = (epoch + begin * _MICROSECOND, epoch + end * _MICROSECOND)
    return await absences.fallen(a_pass.connection, rule.of, span, rule.longer_than, rule.name)


def _outcomes(
    rule: Absence, place: Place, times: Sequence[int], rows: Sequence[AlertRow], at: tuple[Span, Silence]
) -> list[Outcome]:
    """The asset's silences against its alerts."""
    span, silence = at
    plain = [as_row(row) for row in rows]
    stood = [row.started for row in plain if row.started <= span.base and (row.ended is None or row.ended > span.base)]
    episodes = silences(times, silence, Stand(span.base, span.final, max(stood, default=None)))
    by_key = {row.alert_id: row for row in rows}
    found: list[Outcome] = []
    for change in reconcile(episodes, plain, span):
        one = Outcome(rule, place, by_key.get(change.key) if change.key else None, change)
        if change.fired is not None and change.fired > span.base:
            one.figures, one.window = _figures(times, change.fired)
        found.append(one)
    return found


def _figures(times: Sequence[int], fired: int) -> tuple[Mapping[str, object], tuple[datetime, datetime]]:
    """How long the asset had been silent at the tick that fired, and the stretch from its last reading on."""
    end = fired * MINUTE_MICROS
    last = max((one for one in times if one < end), default=end)
    return {"silent_s": (end - last) / 1_000_000}, (moment_of(0) + last * _MICROSECOND, moment_of(fired))
