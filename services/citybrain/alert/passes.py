"""One pass of alert: what changed and how far time has come, to alerts. Called by alert.worker in one transaction.

Order: the fence, commands, the rules if they are new, thresholds, silences, then what many silences are together. A crash
anywhere leaves nothing; a pass that is repeated finds the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from citybrain.alert import conditions, silence, together
from citybrain.alert.commands import obey
from citybrain.alert.evidence import add_evidence
from citybrain.alert.gaps import Gaps
from citybrain.alert.outcome import Outcome, Pass, episode_ids, micros_of, moment_of, tick_of
from citybrain.alert.record import Book, name_new, record
from citybrain.alert.reload import At, Reload, compare, reload
from citybrain.alert.scopes import ScopeBook
from citybrain.alert.spans import OPEN_TICKS, Group, groups_of, lateness_of, moving_minutes
from citybrain.city import City
from citybrain.rulebook.model import Absence, LoadedRules, RuleBook
from citybrain.rulebook.read import read_rule_book
from citybrain.store import absences, changes, rule_sets
from citybrain.store.changes import Changes, Standing
from citybrain.store.pool import Connection

MOST_TICKS = 240
MOST_AT_ONCE = 2_000  # alerts that are written by one statement: it ends within the time that statements have
MOST_BATCHES, MOST_ENTRIES = 100, 100_000  # of each writer
Touched = dict[tuple[str, str], dict[int, int]]  # by (metric, per), of scopes the earliest minute that changed


class Fenced(Exception):
    """Another owner has made a pass meanwhile: drop everything."""


@dataclass(slots=True)
class Done:
    """What a pass did."""

    intents: int = 0
    opened: int = 0
    more: bool = False
    final_through: datetime | None = None


@dataclass(frozen=True, slots=True)
class Now:
    """What a pass goes by: rules, profile, the wall clock."""

    loaded: LoadedRules
    city: City
    at: datetime


async def make_pass(connection: Connection, scopes: ScopeBook, standing: Standing, now: Now) -> Done:
    """Work on what there is, up to a limit. Raises Fenced."""
    complete = None if standing.minutes_through is None else tick_of(standing.minutes_through)
    before = complete if standing.final_through is None else tick_of(standing.final_through)
    final = before if before is None or complete is None else min(complete, before + MOST_TICKS)
    moment = None if final is None else moment_of(final)
    version = standing.rule_version if final is None else now.loaded.version
    if not await changes.advance(connection, standing.number, moment, version):
        raise Fenced
    book = Book()
    commands = await obey(connection, book, now.at)
    intents = await book.write(connection, now.at)
    if before is None or final is None:
        return Done(intents, 0, commands > 0)
    taken = await changes.take(connection, MOST_BATCHES, MOST_ENTRIES)
    await changes.taken(connection, taken.positions)
    fresh = await _reloaded(connection, standing, now, before)
    intents += fresh[1]
    gaps = Gaps(
        (micros_of(begin), micros_of(end)) for begin, end in await changes.gaps(connection, moment_of(0), moment_of(final + 1440))
    )
    newest = await changes.newest_minute(connection) if final == complete else None
    open_end = final if newest is None else max(final, min(final + OPEN_TICKS, tick_of(newest) + 1))
    modes = await changes.modes(connection)
    a_pass = Pass(connection, now.city, now.loaded.version, now.at, before, final, gaps, modes, open_end, episode_ids(now.at))
    intents, opened = await _evaluate(a_pass, scopes, now.loaded.book, (taken, fresh[0], intents))
    more = final != complete or bool(taken.positions) or commands > 0
    return Done(intents, opened, more, moment)


async def _reloaded(connection: Connection, standing: Standing, now: Now, before: int) -> tuple[Collection[str], int]:
    """The names of rules that have never been evaluated, and intents of those that changed."""
    rules, version = now.loaded.book, now.loaded.version
    if standing.rule_version == version:
        return (), 0
    old = None if standing.rule_version is None else await rule_sets.of_version(connection, standing.rule_version)
    differs: Reload = compare(RuleBook() if old is None else read_rule_book(old.files, []), rules)
    book = Book()
    await reload(connection, book, differs, At(now.city, rules, version, before, now.at))
    return differs.fresh, await book.write(connection, now.at)


async def _evaluate(
    a_pass: Pass, scopes: ScopeBook, rules: RuleBook, given: tuple[Changes, Collection[str], int]
) -> tuple[int, int]:
    taken, fresh, intents = given
    groups = groups_of(rules.rules)
    silences = [rule for rule in rules.rules if isinstance(rule, Absence)]
    begins = await _begins(a_pass, scopes, groups, taken, fresh)
    outcomes: list[Outcome] = []
    for group in groups:
        outcomes += await conditions.look(a_pass, scopes, group, begins.get(id(group), {}))
    spoken = await absences.ended(a_pass.connection, {rule.name: rule.of for rule in silences}) if silences else []
    for rule in silences:
        ended = [subject for name, subject in spoken if name == rule.name]
        outcomes += await silence.look(a_pass, rule, taken.late, ended, fresh=rule.name in fresh)
    wrote = await _record(a_pass, outcomes)
    more = (0, 0)
    if silences and (a_pass.final > a_pass.before or taken.late or fresh):
        more = await _record(a_pass, await together.look(a_pass, silences))
    return intents + wrote[0] + more[0], wrote[1] + more[1]


async def _record(a_pass: Pass, outcomes: list[Outcome]) -> tuple[int, int]:
    """Write what becomes of alerts; how many intents there are, and how many alerts were opened."""
    intents = opened = 0
    name_new(a_pass, outcomes)
    for at in range(0, len(outcomes), MOST_AT_ONCE):
        part, book = outcomes[at : at + MOST_AT_ONCE], Book()
        await add_evidence(a_pass, part)
        record(book, a_pass, part)
        intents += await book.write(a_pass.connection, a_pass.now)
        opened += len(book.opened)
    return intents, opened


async def _begins(
    a_pass: Pass, scopes: ScopeBook, groups: Collection[Group], taken: Changes, fresh: Collection[str]
) -> dict[int, dict[int, int]]:
    """By group (its id), the scopes to look at, and the tick from which on."""
    touched = await _touched(a_pass, scopes, groups, taken)
    moves = a_pass.final > a_pass.before
    standing = await conditions.standing_scopes(a_pass, scopes, groups) if moves else {}
    found: dict[int, dict[int, int]] = {}
    for group in groups:
        key = (group.metric, str(group.per))
        base = a_pass.before - max(lateness_of(rule, a_pass.city.settings.lateness) for rule in group.rules)
        begins = _changed(a_pass, group, touched.get(key, {}), base)
        if moves:
            for number in {*standing.get(key, ()), *await _moving(a_pass, scopes, group)}:
                begins[number] = min(begins.get(number, a_pass.before), a_pass.before)
        if any(rule.name in fresh for rule in group.rules):
            for number in await _all_of(a_pass, scopes, group, base):
                begins[number] = min(begins.get(number, base), base)
        found[id(group)] = begins
    return found


def _changed(a_pass: Pass, group: Group, touched: Mapping[int, int], base: int) -> dict[int, int]:
    """Of scopes whose minutes changed: late ones from there on, open ones if an early rule looks at them."""
    reach, before = group.reach, a_pass.before
    ends = a_pass.open_end if group.early else max(before, a_pass.final)
    return {
        number: max(base, min(minute, before)) for number, minute in touched.items() if minute + reach > base and minute < ends
    }


async def _touched(a_pass: Pass, scopes: ScopeBook, groups: Collection[Group], taken: Changes) -> Touched:
    """The earliest minute of each scope that a batch changed and that still matters to a rule."""
    found: defaultdict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    if not taken.series or not groups:
        return found
    profile = a_pass.city.settings.lateness
    floor = a_pass.before - max(group.reach + max(lateness_of(rule, profile) for rule in group.rules) for group in groups)
    frame = pl.DataFrame({"series": taken.series, "minute": taken.minutes}, schema={"series": pl.Int32, "minute": pl.Int64})
    rows = frame.filter(pl.col("minute") >= floor).group_by("series").agg(pl.col("minute").min()).rows()
    await scopes.learn(a_pass.connection, a_pass.city, [series for series, _ in rows])
    for series, minute in rows:
        scope = scopes.get(series)
        if scope is not None and scope.per is not None:
            mine = found[scope.metric, scope.per]
            mine[scope.number] = min(minute, mine.get(scope.number, minute))
    return found


async def _moving(a_pass: Pass, scopes: ScopeBook, group: Group) -> set[int]:
    """Scopes with a minute that enters or leaves a window at the new final ticks."""
    minutes = moving_minutes(group, a_pass.before, a_pass.final)
    series = await changes.moving(a_pass.connection, minutes, group.per == "subject", [group.metric])
    found = await _scopes(a_pass, scopes, group, series)
    if group.fires_on_silence and a_pass.gaps and _gap_leaves(a_pass, group):
        found |= await _scopes(
            a_pass, scopes, group, await changes.every_series(a_pass.connection, group.metric, group.per == "subject")
        )
    return found


def _gap_leaves(a_pass: Pass, group: Group) -> bool:
    """Whether a stretch in which we were down leaves a window: then silence means something again."""
    begin, end = (micros_of(moment_of(tick)) for tick in (a_pass.before - group.reach - 1, a_pass.final))
    return any(begin <= ended <= end for ended in a_pass.gaps.ends.tolist())


async def _all_of(a_pass: Pass, scopes: ScopeBook, group: Group, base: int) -> set[int]:
    """What a rule that was never evaluated has to look at."""
    leaf = group.per == "subject"
    if group.fires_on_silence:
        return await _scopes(a_pass, scopes, group, await changes.every_series(a_pass.connection, group.metric, leaf))
    span = (base + 1 - group.reach, a_pass.final + 1)
    return await _scopes(a_pass, scopes, group, await changes.in_span(a_pass.connection, *span, leaf, [group.metric]))


async def _scopes(a_pass: Pass, scopes: ScopeBook, group: Group, series: Collection[int]) -> set[int]:
    """The scopes of the group that these series are of."""
    await scopes.learn(a_pass.connection, a_pass.city, series)
    found = (scopes.get(number) for number in series)
    return {one.number for one in found if one is not None and one.per == group.per}
