"""Threshold rules in a pass: the minutes of scopes to flags, histories and what becomes of alerts. Called by alert.passes.

Reads minutes, histories and alerts; writes histories. What is decided is in ticks, lifecycle and episodes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import msgspec
import polars as pl

from citybrain.alert.episodes import Span, episodes_of, reconcile
from citybrain.alert.expected import expected_rows
from citybrain.alert.lifecycle import (
    History,
    Run,
    begin,
    fold,
    from_rows,
    holding_of,
    is_quiet,
    next_settled,
    to_rows,
    trimmed,
)
from citybrain.alert.outcome import Outcome, Pass, Place, as_row, moment_of
from citybrain.alert.scopes import Scope, ScopeBook
from citybrain.alert.spans import Group, lateness_of, parts, spread
from citybrain.alert.ticks import columns_of, evaluate, leaves_needed, runs, worth_folding
from citybrain.alert.windows import Source, as_minutes, windows
from citybrain.city import City
from citybrain.rulebook import template
from citybrain.rulebook.model import Threshold
from citybrain.store import alerts, changes
from citybrain.store.alerts import AlertRow, ScopeRow
from citybrain.store.changes import Wanted

MOST_CELLS = 200_000  # of (rule, scope, tick) that are worked on at once
MANY_CELLS = 20_000  # from here on in a thread
Key = tuple[int, int]  # a rule by its place in the group, a scope's number


class Stretch(NamedTuple):
    """Where time stands for a rule: settled before this pass, and by now."""

    base: int
    settled: int


@dataclass(slots=True)
class Part:
    """Some scopes of a group, and all that is known of them."""

    group: Group
    scopes: dict[int, Scope]
    begins: Mapping[int, int]
    stretches: list[Stretch]
    histories: dict[Key, History]
    rows: dict[Key, list[AlertRow]]
    source: Source
    members: pl.DataFrame  # series, minute, latest, area: of assets that were seen in several areas
    seen: dict[int, int] = field(default_factory=dict)  # last tick that was looked at, by scope; F where it is not named


async def look(a_pass: Pass, book: ScopeBook, group: Group, begins: Mapping[int, int]) -> list[Outcome]:
    """Evaluate scopes, each from a tick on, through the last final tick (and open ones, for early rules)."""
    found: list[Outcome] = []
    end = a_pass.open_end if group.early else a_pass.final
    for part in parts(sorted(begins.items()), len(group.rules), end, MOST_CELLS):
        found += await _look(a_pass, book, group, dict(part))
    return found


async def _look(a_pass: Pass, book: ScopeBook, group: Group, begins: Mapping[int, int]) -> list[Outcome]:
    part = await _read(a_pass, book, group, begins)
    asked = _asked(a_pass, part)
    if asked.height > MANY_CELLS:
        folded = await asyncio.to_thread(_fold, a_pass, part, asked)
    else:
        folded = _fold(a_pass, part, asked)
    await _keep(a_pass, part, folded)
    return _outcomes(a_pass, part, folded)


async def _read(a_pass: Pass, book: ScopeBook, group: Group, begins: Mapping[int, int]) -> Part:
    """Minutes, histories and alerts of the scopes."""
    connection = a_pass.connection
    scopes = {number: book[number] for number in begins}
    names = [rule.name for rule in group.rules]
    texts = [one.text for one in scopes.values()]
    keys = {(rule.name, one.text): (n, number) for n, rule in enumerate(group.rules) for number, one in scopes.items()}
    histories = {
        keys[row.rule, row.scope]: from_rows(msgspec.json.decode(row.history))
        for row in await alerts.scopes(connection, names, texts)
    }
    rows: defaultdict[Key, list[AlertRow]] = defaultdict(list)
    for row in await alerts.open_alerts(connection, names, texts):
        rows[keys[row.rule, row.scope]].append(row)
    profile = a_pass.city.settings.lateness
    late = [lateness_of(rule, profile) for rule in group.rules]
    stretches = [Stretch(a_pass.before - one, a_pass.final - one) for one in late]
    least = min(one.base for one in stretches)
    end = a_pass.open_end if group.early else a_pass.final
    reach = group.reach
    wanted = [
        Wanted(number, series, max(first, least) + 1 - reach, end)
        for number, first in begins.items()
        for series in book.series_of(number)
    ]
    found = await changes.minutes(connection, wanted)
    mode = a_pass.modes[group.metric]
    leaves = None
    if any(leaves_needed(rule, mode) for rule in group.rules):
        leaves = as_minutes(await _leaves(a_pass, book, group, scopes, (least, begins, end)))
    source = Source(as_minutes(found.drop("member")), mode, group.per != "subject", leaves, None)
    return Part(group, scopes, begins, stretches, histories, dict(rows), source, _members(book, found))


def _members(book: ScopeBook, found: pl.DataFrame) -> pl.DataFrame:
    """Minutes of assets that were seen in several areas, with the area of each."""
    moved = found.filter(pl.col("series") != pl.col("member")).select("series").unique()
    rows = found.join(moved, on="series", how="semi").select("series", "member", "minute", "latest")
    areas = {number: book.area_of(number) for number in rows["member"].unique().to_list()}
    return rows.with_columns(pl.col("member").replace_strict(areas, return_dtype=pl.String).alias("area"))


async def _leaves(
    a_pass: Pass, book: ScopeBook, group: Group, scopes: Mapping[int, Scope], span: tuple[int, Mapping[int, int], int]
) -> pl.DataFrame:
    """Minutes of the assets beneath areas."""
    least, begins, end = span
    at = moment_of(a_pass.final)
    beneath = {number: codes_beneath(a_pass.city, scope.area, at) for number, scope in scopes.items()}
    every = sorted({code for codes in beneath.values() for code in codes})
    numbers = {row.area: row.number for row in await changes.series_of_areas(a_pass.connection, group.metric, every)}
    wanted = [
        Wanted(number, numbers[code], max(begins[number], least) + 1 - group.reach, end)
        for number, codes in beneath.items()
        for code in codes
        if code in numbers
    ]
    return await changes.minutes(a_pass.connection, wanted, beneath=True)


def codes_beneath(city: City, code: str, at: datetime) -> list[str]:
    """The area and all below it."""
    found = [code]
    for one in found:
        found.extend(city.areas.children_at(one, at))
    return found


def _asked(a_pass: Pass, part: Part) -> pl.DataFrame:
    """A row (rule, series, tick) for every tick that a rule has to look at."""
    group, final = part.group, a_pass.final
    ends: dict[int, int] = {}
    if group.early and part.source.minutes.height:
        newest = part.source.minutes.group_by("series").agg(pl.col("minute").max())
        ends = {series: minute + 1 for series, minute in newest.iter_rows() if minute + 1 > final}
    part.seen = ends
    rows: list[tuple[int, int, int, int]] = []
    for n, rule in enumerate(group.rules):
        base = part.stretches[n].base
        for number, first in part.begins.items():
            history = part.histories.get((n, number))
            start = max(first, base, history[0].tick if history else base)
            rows.append((n, number, start, ends.get(number, final) if rule.early else final))
    schema = {"rule": pl.Int32, "series": pl.Int32, "begin": pl.Int64, "end": pl.Int64}
    return spread(pl.DataFrame(rows, schema=schema, orient="row"))


@dataclass(slots=True)
class _Folded:
    """A history through the last final tick, and the one that goes on through open ticks."""

    final: History
    seen: History


def _fold(a_pass: Pass, part: Part, asked: pl.DataFrame) -> dict[Key, _Folded]:
    """Histories of scopes that are anywhere but simply inactive, or were, or have alerts that may change."""
    rules = part.group.rules
    source = part.source
    if any("expected" in columns_of(rule) for rule in rules):
        rows = expected_rows(a_pass.city, part.group, part.scopes, asked)
        source = Source(source.minutes, source.mode, source.area, source.leaves, rows)
        part.source = source
    known = sorted({*part.histories, *part.rows})
    found = {key: _Folded(*(2 * [part.histories.get(key) or begin(part.stretches[key[0]].base)])) for key in known}
    if not asked.height:
        return found
    flags = evaluate(rules, asked, source, a_pass.gaps)
    standing = pl.DataFrame(known, schema={"rule": pl.Int32, "series": pl.Int32}, orient="row")
    for key, run in runs(worth_folding(flags, standing)):
        rule = rules[key.rule]
        before = part.histories.get(key) or begin(part.stretches[key.rule].base)
        holding = holding_of(rule, rule.when.watched[1])
        closed, still_open = _cut(run, a_pass.final)
        final = fold(before, closed, holding)
        found[key] = _Folded(final, fold(final, still_open, holding) if still_open.ticks else final)
    return found


def _cut(run: Run, final: int) -> tuple[Run, Run]:
    """The final ticks of a run, and the open ones."""
    count = sum(1 for tick in run.ticks if tick <= final)
    closed = Run(run.ticks[:count], run.flags[:count], run.watched[:count])
    return closed, Run(run.ticks[count:], run.flags[count:], run.watched[count:])


async def _keep(a_pass: Pass, part: Part, folded: Mapping[Key, _Folded]) -> None:
    """Write the histories that changed, without what is settled."""
    puts: list[ScopeRow] = []
    drops: list[tuple[str, str]] = []
    for (n, number), one in folded.items():
        rule, text = part.group.rules[n], part.scopes[number].text
        before, after = part.histories.get((n, number)), trimmed(one.final, part.stretches[n].settled)
        if is_quiet(after):
            if before is not None:
                drops.append((rule.name, text))
        elif after != before:
            puts.append(ScopeRow(rule.name, text, msgspec.json.encode(to_rows(after)).decode(), next_settled(after)))
    await alerts.put_scopes(a_pass.connection, puts)
    await alerts.drop_scopes(a_pass.connection, drops)


def _outcomes(a_pass: Pass, part: Part, folded: Mapping[Key, _Folded]) -> list[Outcome]:
    """What becomes of alerts, with the figures of the windows that fired: of an early one as they were when it did, once the
    window says otherwise.
    """
    found: list[tuple[Outcome, int | None]] = []
    for (n, number), one in folded.items():
        rule, scope, stretch = part.group.rules[n], part.scopes[number], part.stretches[n]
        rows = {row.alert_id: row for row in part.rows.get((n, number), ())}
        seen = max(part.seen.get(number, a_pass.final), a_pass.final) if rule.early else a_pass.final
        base = max(stretch.base, one.final[0].tick)
        span = Span(base, stretch.settled, a_pass.final, seen)
        place = Place(scope.text, scope.area, scope.code if scope.per == "subject" else None, None, number)
        episodes = episodes_of(one.seen)
        told = reconcile(episodes, [as_row(row) for row in rows.values()], span)
        mine = [Outcome(rule, place, rows.get(change.key) if change.key else None, change) for change in told]
        changed = {change.key for change in told}
        mine += [Outcome(rule, place, row, None) for key, row in rows.items() if key not in changed and row.state != "retracted"]
        true_at = {tick for episode in episodes for tick in (episode.started, episode.fired)}
        found += [(outcome, tick if (tick := _fired(outcome)) in true_at else None) for outcome in mine]
    return list(_with_figures(part, found))


def _with_figures(part: Part, outcomes: Sequence[tuple[Outcome, int | None]]) -> Iterable[Outcome]:
    """Those with a change, or whose tick (that of the window they show) was seen anew."""
    base = {rule.name: stretch.base for rule, stretch in zip(part.group.rules, part.stretches, strict=True)}
    at = [(one, tick, max(base[one.rule.name], part.begins[one.place.number or 0])) for one, tick in outcomes]
    wanted = [(one, tick) for one, tick, begins in at if tick is not None and tick > begins]
    if wanted:
        width = part.group.width
        asked = pl.DataFrame(
            [(one.place.number, tick) for one, tick in wanted], schema={"series": pl.Int32, "tick": pl.Int64}, orient="row"
        )
        columns = frozenset().union(*(shown_columns(one.rule) for one, _ in wanted if isinstance(one.rule, Threshold)))
        figures = windows(asked, part.source, width, columns).to_dicts()
        for (one, tick), values in zip(wanted, figures, strict=True):
            shown = shown_columns(one.rule) if isinstance(one.rule, Threshold) else frozenset()
            one.figures = {name: values[name] for name in sorted(shown) if name in values}
            one.window = (moment_of(tick - width), moment_of(tick))
            one.place = _where(part, one.place, tick, width)
    for one, _ in outcomes:
        if one.change is not None or one.figures is not None:
            yield one


def _fired(outcome: Outcome) -> int | None:
    """The tick whose window an alert shows: where it fired, or where it became true while it is pending."""
    if outcome.change is not None:
        return outcome.change.started if outcome.change.fired is None else outcome.change.fired
    row = None if outcome.row is None else as_row(outcome.row)
    return None if row is None else row.started if row.fired is None else row.fired


def shown_columns(rule: Threshold) -> frozenset[str]:
    """The columns that an alert of the rule shows: those of its conditions and texts, and how many readings there were."""
    texts = frozenset().union(*(template.columns_of(text) for text in rule.annotations.values()))
    return columns_of(rule) | texts | {"count"}


def _where(part: Part, place: Place, tick: int, width: int) -> Place:
    """An asset that was seen in several areas is where its last reading of the window was."""
    if not part.members.height or place.subject is None:
        return place
    mine = part.members.filter(pl.col("series") == place.number, pl.col("minute") >= tick - width, pl.col("minute") < tick).sort(
        "latest"
    )
    return place if not mine.height else Place(place.scope, str(mine["area"][-1]), place.subject, None, place.number)


async def standing_scopes(a_pass: Pass, book: ScopeBook, groups: Collection[Group]) -> dict[tuple[str, str], set[int]]:
    """The scopes of (metric, per) that time alone may move: those for which a rule is not simply inactive."""
    kind = {rule.name: (group.metric, str(group.per)) for group in groups for rule in group.rules}
    texts: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for rule, text in await alerts.standing(a_pass.connection, list(kind)):
        texts[kind[rule]].add(text)
    found: dict[tuple[str, str], set[int]] = {}
    for (metric, per), names in texts.items():
        scopes = await book.find(a_pass.connection, a_pass.city, metric, names)
        found[metric, per] = {one.number for one in scopes.values()}
    return found
