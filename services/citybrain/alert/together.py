"""`source_silent`: many assets of one source or street that fall silent together are one alert. Called by alert.passes.

Made anew at every pass with final ticks, for all ticks that are not settled, from the alerts of absence rules.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import msgspec
import polars as pl

from citybrain.alert.absence import FEWEST_SILENT, together
from citybrain.alert.episodes import Span, episodes_of, reconcile
from citybrain.alert.lifecycle import Holding, Run, begin, fold, from_rows, is_quiet, next_settled, to_rows, trimmed
from citybrain.alert.outcome import Outcome, Pass, Place, as_row, moment_of, tick_of
from citybrain.alert.spans import lateness_of
from citybrain.city import City
from citybrain.city.literals import Name
from citybrain.rulebook.model import SOURCE_SILENT, Absence
from citybrain.store import absences, alerts
from citybrain.store.absences import ArmedRow, SilentRow
from citybrain.store.alerts import AlertRow, ScopeRow

AT_ONCE = Holding(0, 0)
TITLE = Name("Many sensors silent at once", "多个感知设备同时失联")


def _groups(city: City, source: str | None, area: str) -> list[str]:
    """The scopes that an asset may fall silent with."""
    found = [f"source:{source}"] if source else []
    if city.areas.known(area):
        path = city.areas.path_at(area, city.areas.versions_of(area)[-1].validity.begin)
        found += [f"street:{code}" for code in path if city.areas.level(code) == "street"]
    return found


async def look(a_pass: Pass, rules: Sequence[Absence]) -> list[Outcome]:
    """What becomes of the alerts `source_silent`."""
    late = max(lateness_of(rule, a_pass.city.settings.lateness) for rule in rules)
    span = Span(a_pass.before - late, a_pass.final - late, a_pass.final, a_pass.final)
    rows: defaultdict[str, list[AlertRow]] = defaultdict(list)
    for row in await alerts.open_alerts(a_pass.connection, [SOURCE_SILENT]):
        rows[row.scope].append(row)
    histories = {
        row.scope: from_rows(msgspec.json.decode(row.history)) for row in await alerts.scopes(a_pass.connection, [SOURCE_SILENT])
    }
    flags, of = await _flags(a_pass, rules, span)
    found: list[Outcome] = []
    puts: list[ScopeRow] = []
    drops: list[tuple[str, str]] = []
    ticks = list(range(span.base + 1, span.final + 1))
    for scope in sorted({*flags, *rows, *histories}):
        seen = flags.get(scope, {})
        run = Run(ticks, [seen.get(tick, 0) for tick in ticks], [None] * len(ticks))
        before = histories.get(scope)
        history = fold(before or begin(span.base), run, AT_ONCE)
        after = trimmed(history, span.settled)
        if not is_quiet(after):
            puts.append(ScopeRow(SOURCE_SILENT, scope, msgspec.json.encode(to_rows(after)).decode(), next_settled(after)))
        elif before is not None:
            drops.append((SOURCE_SILENT, scope))
        rule = _rule(of.get(scope, rules[0]))
        by_key = {row.alert_id: row for row in rows.get(scope, ())}
        told = reconcile(episodes_of(history), [as_row(row) for row in by_key.values()], span)
        place = _place(a_pass.city, scope)
        found += [Outcome(rule, place, by_key.get(change.key) if change.key else None, change) for change in told]
    await alerts.put_scopes(a_pass.connection, puts)
    await alerts.drop_scopes(a_pass.connection, drops)
    return found


async def _flags(a_pass: Pass, rules: Sequence[Absence], span: Span) -> tuple[dict[str, dict[int, int]], dict[str, Absence]]:
    """Flags by scope and tick where many are silent, and the rule that each scope's alert takes its labels from."""
    flags: defaultdict[str, dict[int, int]] = defaultdict(dict)
    of: dict[str, Absence] = {}
    silent = await absences.silent(a_pass.connection, [rule.name for rule in rules], moment_of(span.base), moment_of(span.final))
    for rule in rules:
        mine = [one for one in silent if one.rule == rule.name]
        if len(mine) < FEWEST_SILENT:
            continue
        quiet = _silent_frame(a_pass.city, mine)
        names = quiet["group"].unique().to_list()
        armed = _armed_frame(a_pass.city, await absences.armed(a_pass.connection, rule.of), names)
        for group, tick, flag in together(quiet, armed, span.base, span.final).iter_rows():
            flags[group][tick] = max(flag, flags[group].get(tick, 0))
            of.setdefault(group, rule)
    return flags, of


def _silent_frame(city: City, silent: Iterable[SilentRow]) -> pl.DataFrame:
    rows = [
        (group, tick_of(one.fired_at), None if one.ended_at is None else tick_of(one.ended_at))
        for one in silent
        for group in _groups(city, one.source, one.area)
    ]
    found = pl.DataFrame(rows, schema={"group": pl.String, "started": pl.Int64, "ended": pl.Int64}, orient="row")
    return found.filter(pl.len().over("group") >= FEWEST_SILENT)


def _armed_frame(city: City, armed: Iterable[ArmedRow], names: Iterable[str]) -> pl.DataFrame:
    """A row an asset; when each began to speak is not kept: they count for all ticks."""
    counts: Counter[str] = Counter()
    for one in armed:
        for group in _groups(city, one.source, one.area):
            counts[group] += one.assets
    rows = [(group, 0) for group in names for _ in range(counts[group])]
    return pl.DataFrame(rows, schema={"group": pl.String, "since": pl.Int64}, orient="row")


def _rule(rule: Absence) -> Absence:
    """The built-in rule, with severity and labels of the one whose assets are silent."""
    nothing = timedelta()
    return replace(rule, name=SOURCE_SILENT, title=TITLE, annotations={}, hold=nothing, keep_firing_for=nothing, inhibits=())


def _place(city: City, scope: str) -> Place:
    kind, code = scope.split(":", 1)
    if kind == "source":
        return Place(scope, city.areas.at_level("city")[0].code, None, code)
    return Place(scope, code)
