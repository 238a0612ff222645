"""What rules make of events that are all there, in memory, everything final. Called by `rules test`. Pure: no clock, no I/O.

The same windows, flags, lifecycle and silences as in the worker, for one rule and all of its scopes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl

from citybrain.alert.absence import Silence, Stand, silences, together
from citybrain.alert.episodes import Episode, episodes_of
from citybrain.alert.expected import expected_rows
from citybrain.alert.gaps import Gaps
from citybrain.alert.lifecycle import Holding, Run, begin, fold, holding_of
from citybrain.alert.scopes import Scope
from citybrain.alert.spans import Group
from citybrain.alert.ticks import MINUTE_MICROS, columns_of, evaluate, runs, width_of
from citybrain.alert.windows import Source, as_minutes
from citybrain.city import City
from citybrain.rulebook.model import Absence, Threshold

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE, _MICROSECOND = timedelta(minutes=1), timedelta(microseconds=1)
_PICO = 1_000_000
_SERIES = ("metric", "area", "subject", "source")


class Spoken(NamedTuple):
    """One event of an asset; `at` in µs since 1970."""

    type: str
    subject: str
    source: str
    area: str
    at: int


@dataclass(frozen=True, slots=True)
class Trial:
    """`minutes` of assets and sources as aggregate.windows makes them, `spoken` in the order of time, `modes` of metrics;
    ticks in (after, last] are looked at."""

    city: City
    minutes: pl.DataFrame
    spoken: Sequence[Spoken]
    modes: Mapping[str, int]
    after: int
    last: int

    def final(self, rule: Threshold | Absence) -> int:
        """A tick by which all that the rule waits for after the last event has passed."""
        if isinstance(rule, Absence):
            return self.last + -(-rule.longer_than // _MINUTE) + 1
        return self.last + 2 * width_of(rule) + -(-(rule.hold + rule.keep_firing_for) // _MINUTE) + 1


class Found(NamedTuple):
    """An episode that fired: the subject, or the code of the area; a source for `source_silent`."""

    scope: str
    episode: Episode


def episodes(rule: Threshold | Absence, trial: Trial) -> list[Found]:
    """All that the rule would have told, by scope and time."""
    made = _of_silence(rule, trial) if isinstance(rule, Absence) else _of_threshold(rule, trial)
    return [one for one in made if one.episode.fired is not None]


def of_many(rules: Iterable[Absence], trial: Trial) -> list[Found]:
    """The episodes of `source_silent` over absence rules."""
    flags: dict[str, dict[int, int]] = {}
    rules = list(rules)
    final = max((trial.final(rule) for rule in rules), default=trial.after)
    for rule in rules:
        silent, armed = _groups(rule, trial)
        for group, tick, flag in together(silent, armed, trial.after, final).iter_rows():
            flags.setdefault(group, {})[tick] = max(flag, flags.get(group, {}).get(tick, 0))
    found: list[Found] = []
    for group in sorted(flags):
        ticks = sorted(flags[group])
        run = Run(ticks, [flags[group][tick] for tick in ticks], [None] * len(ticks))
        history = fold(begin(trial.after), run, Holding(0, 0))
        found += [Found(group.partition(":")[2], one) for one in episodes_of(history)]
    return found


def _groups(rule: Absence, trial: Trial) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The silences of each group, and its armed assets with the tick from which they are."""
    last = {one.subject: one for one in trial.spoken if one.type == rule.of}
    first = {one.subject: one.at // MINUTE_MICROS + 1 for one in reversed(trial.spoken) if one.type == rule.of}
    of = {subject: list(_group_names(one, trial.city)) for subject, one in last.items()}
    silent = [(group, one.started, one.ended) for subject, one in _of_silence(rule, trial) for group in of[subject]]
    armed = [(group, first[subject]) for subject, groups in of.items() for group in groups]
    return (
        pl.DataFrame(silent, schema={"group": pl.String, "started": pl.Int64, "ended": pl.Int64}, orient="row"),
        pl.DataFrame(armed, schema={"group": pl.String, "since": pl.Int64}, orient="row"),
    )


def _group_names(one: Spoken, city: City) -> Iterator[str]:
    yield f"source:{one.source}"
    street = _code_at(city, one.area, "street", one.at // MINUTE_MICROS)
    if street is not None:
        yield f"street:{street}"


def _of_silence(rule: Absence, trial: Trial) -> list[Found]:
    times: dict[str, list[int]] = {}
    for one in trial.spoken:
        if one.type == rule.of:
            times.setdefault(one.subject, []).append(one.at)
    silence = Silence(rule.longer_than // _MICROSECOND, Gaps())
    stand = Stand(trial.after, trial.final(rule))
    return [Found(subject, one) for subject in sorted(times) for one in silences(times[subject], silence, stand)]


def _of_threshold(rule: Threshold, trial: Trial) -> list[Found]:
    rows = _with_scopes(trial, rule)
    codes = rows["code"].unique().sort().to_list()
    if not codes:
        return []
    ticks = pl.DataFrame({"tick": range(trial.after + 1, trial.final(rule) + 1)})
    asked = pl.DataFrame({"series": range(len(codes))}).join(ticks, how="cross").with_columns(pl.lit(0).alias("rule"))
    source = _source(rows, codes, rule, trial)
    if "expected" in columns_of(rule):
        group = Group(rule.metric, rule.per, width_of(rule), (rule,))
        scopes = {n: Scope(n, rule.metric, rule.per, code, code) for n, code in enumerate(codes)}
        expected = expected_rows(trial.city, group, scopes, asked)
        source = Source(source.minutes, source.mode, source.area, source.leaves, expected)
    holding = holding_of(rule, rule.when.watched[1])
    histories = ((scope, fold(begin(trial.after), run, holding)) for scope, run in runs(evaluate([rule], asked, source, Gaps())))
    return [Found(codes[scope.series], one) for scope, history in histories for one in episodes_of(history)]


def _source(rows: pl.DataFrame, codes: Sequence[str], rule: Threshold, trial: Trial) -> Source:
    number = pl.col("code").replace_strict(codes, range(len(codes)), return_dtype=pl.Int32).alias("series")
    member = pl.concat_str([pl.col(name).fill_null("\x00") for name in _SERIES], separator="\x01").rank("dense").alias("member")
    finer = pl.col("part", "weight").cast(pl.Int128) * _PICO
    minutes = rows.with_columns(number, member.cast(pl.Int32), pl.col("minute") // MINUTE_MICROS, finer)
    area = rule.per != "subject"
    leaves = as_minutes(minutes) if area else None
    return Source(as_minutes(minutes.drop("member")), trial.modes[rule.metric], area, leaves)


def _with_scopes(trial: Trial, rule: Threshold) -> pl.DataFrame:
    """The rule's minutes with `code`, the scope that each belongs to."""
    rows = trial.minutes.filter(pl.col("metric") == rule.metric)
    if rule.per == "subject":
        return rows.filter(pl.col("subject").is_not_null()).with_columns(pl.col("subject").alias("code"))
    places = rows.select("area", "minute").unique()
    codes = [_code_at(trial.city, area, rule.per, minute // MINUTE_MICROS) for area, minute in places.iter_rows()]
    named = places.with_columns(pl.Series("code", codes, pl.String))
    return rows.join(named, on=["area", "minute"]).filter(pl.col("code").is_not_null())


def _code_at(city: City, area: str, level: str, minute: int) -> str | None:
    """The area of a level that an area is, or lies in, at a minute."""
    if not city.areas.known(area):
        return None
    path = city.areas.path_at(area, _EPOCH + minute * _MINUTE)
    return next((code for code in path if city.areas.level(code) == level), None)
