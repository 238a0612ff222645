"""What rules see of scopes at ticks: columns of windows to flags. Called by worker and `rules test`. Pure: no clock, no I/O.

At tick t (minutes since 1970) a rule sees the window [t - width, t). Everything is computed for all scopes and ticks at once;
rules that share a metric and a window share its computation, rules with the same condition its evaluation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from citybrain.alert.gaps import Gaps
from citybrain.alert.lifecycle import Flag, Run
from citybrain.alert.windows import PREVIOUS, Source, needs_leaves, windows
from citybrain.rulebook.model import Condition, NoData, Threshold

_MINUTE = timedelta(minutes=1)
MINUTE_MICROS = 60_000_000
FLAGS = pl.Schema({"rule": pl.Int32, "series": pl.Int32, "tick": pl.Int64, "flag": pl.Int8, "watched": pl.Float64})


class Scope(NamedTuple):
    """A rule, by its place in the sequence that was given, and a scope's number."""

    rule: int
    series: int


class _View(NamedTuple):
    """What of a rule decides its flags: rules that agree in it are evaluated together."""

    when: str
    clear: str | None
    no_data: NoData
    watched: str


def width_of(rule: Threshold) -> int:
    """The rule's window in minutes."""
    return rule.window // _MINUTE


def columns_of(rule: Threshold) -> frozenset[str]:
    """The columns of windows that a rule looks at; `previous_…` are those of the window one earlier."""
    conditions = [rule.when] if rule.clear is None else [rule.when, rule.clear]
    return frozenset().union(*(_columns(one) for one in conditions))


def leaves_needed(rule: Threshold, mode: int) -> bool:
    """Whether the rule looks at areas in a way that needs the minutes of the assets beneath them (`Source.leaves`)."""
    plain = {name.removeprefix(PREVIOUS) for name in columns_of(rule)}
    return needs_leaves(plain, width_of(rule), mode, area=rule.per != "subject")


def _columns(condition: Condition) -> frozenset[str]:
    return condition.columns | {PREVIOUS + name for name in condition.previous_of} | {condition.watched[0]}


def evaluate(rules: Sequence[Threshold], asked: pl.DataFrame, source: Source, gaps: Gaps) -> pl.DataFrame:
    """Flags (FLAGS) for rows (rule, series, tick) asked, in the order of (rule, series, tick).

    All rules are of one metric and one width. Rows of ticks that a tumbling rule does not look at are left out.
    """
    width = width_of(rules[0])
    tumbling = [n for n, rule in enumerate(rules) if rule.tumbling]
    skipped = pl.col("rule").is_in(tumbling) & (pl.col("tick") % width != 0) if tumbling else pl.lit(value=False)
    pairs = asked.filter(~skipped).select(pl.col(name).cast(FLAGS[name]) for name in ("rule", "series", "tick"))
    pairs = pairs.sort("rule", "series", "tick")
    columns = frozenset().union(*(columns_of(rule) for rule in rules))
    seen = windows(pairs.select("series", "tick").unique(maintain_order=True), source, width, columns)
    seen = seen.with_columns(pl.Series("in_gap", _in_gap(seen, width, gaps)))
    table = pairs.with_columns(pl.col("series", "tick").cast(pl.Int64)).join(
        seen, on=["series", "tick"], how="left", maintain_order="left"
    )
    found = [_flags(rules[members[0]], part) for members, part in _by_view(rules, table)]
    if not found:
        return pl.DataFrame(schema=FLAGS)
    return pl.concat(found).sort("rule", "series", "tick").cast(FLAGS)


def _by_view(rules: Sequence[Threshold], table: pl.DataFrame) -> Iterator[tuple[list[int], pl.DataFrame]]:
    """The rows of rules that see alike; rows come in the order of rules."""
    views: defaultdict[_View, list[int]] = defaultdict(list)
    for n, rule in enumerate(rules):
        views[_View(rule.when.text, rule.clear.text if rule.clear else None, rule.no_data, rule.when.watched[0])].append(n)
    of = table["rule"].to_numpy()
    low, high = np.searchsorted(of, np.arange(len(rules))), np.searchsorted(of, np.arange(len(rules)), "right")
    for members in views.values():
        parts = [table.slice(int(low[n]), int(high[n] - low[n])) for n in members if high[n] > low[n]]
        if parts:
            yield members, pl.concat(parts) if len(parts) > 1 else parts[0]


def _flags(rule: Threshold, table: pl.DataFrame) -> pl.DataFrame:
    when = rule.when.expression.fill_null(value=False)
    clear = ~when if rule.clear is None else rule.clear.expression.fill_null(value=False)
    seen = pl.when(when).then(int(Flag.TRUE)).when(clear).then(int(Flag.CLEAR)).otherwise(int(Flag.BETWEEN))
    unseen = {"keep": Flag.STILL, "ok": Flag.CLEAR, "fire": Flag.TRUE}[rule.no_data]
    silent = pl.when("in_gap").then(int(Flag.STILL)).otherwise(int(unseen))
    flag = pl.when("has_data").then(seen).otherwise(silent)
    watched = pl.col(rule.when.watched[0]).cast(pl.Float64).alias("watched")
    return table.select("rule", "series", "tick", flag.cast(pl.Int8).alias("flag"), watched)


def _in_gap(seen: pl.DataFrame, width: int, gaps: Gaps) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether we were down in a part of the window: then nothing can be said of its silence."""
    ends = seen["tick"].to_numpy() * MINUTE_MICROS
    return gaps.touch(ends - width * MINUTE_MICROS, ends)


def worth_folding(flags: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """The flags of scopes at which the condition holds at some tick, and of those (rule, series) that stand elsewhere than at
    inactive. All others stay inactive, and cost no object."""
    held = flags.filter(pl.col("flag") == int(Flag.TRUE)).select("rule", "series")
    wanted = pl.concat([held, standing.select("rule", "series").cast(held.schema)]).unique()
    return flags.join(wanted, on=["rule", "series"], how="semi", maintain_order="left")


def runs(flags: pl.DataFrame) -> Iterator[tuple[Scope, Run]]:
    """Flags in the order of `evaluate`, scope by scope."""
    if not flags.height:
        return
    rule, series = flags["rule"].to_numpy(), flags["series"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], (rule[1:] != rule[:-1]) | (series[1:] != series[:-1])])).tolist()
    ticks, codes, watched = (flags[name].to_list() for name in ("tick", "flag", "watched"))
    for low, high in zip(starts, [*starts[1:], flags.height], strict=True):
        yield Scope(int(rule[low]), int(series[low])), Run(ticks[low:high], codes[low:high], watched[low:high])
