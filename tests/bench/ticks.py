"""What a tick costs: 10 to 10,000 rules, each over 100 of 100,000 series that have changed; 1,000,000 pairs at the top.

From minutes in memory to the states of scopes, one core's work; every rule has a threshold of its own. The least of some turns is
printed, for other processes on the machine only ever add to it.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl

from citybrain.alert.gaps import Gaps
from citybrain.alert.lifecycle import begin, fold, holding_of
from citybrain.alert.ticks import evaluate, runs, worth_folding
from citybrain.alert.windows import Source, as_minutes
from citybrain.city.literals import Name
from citybrain.rulebook.expression import compile_condition
from citybrain.rulebook.model import Threshold

SERIES, SCOPES, WINDOW = 100_000, 100, 5
RULES = (10, 100, 1_000, 10_000)
TICK = 28_000_000
TURNS = 3
_NOTHING = timedelta()


def measure() -> None:
    """Print milliseconds a tick for each number of rules, and how they grow."""
    source = Source(_minutes(), 1, area=False)
    before = 0.0
    for count in RULES:
        rules, asked = _rules(count), _asked(count)
        best = min(_tick(rules, asked, source) for _ in range(TURNS))
        growth = f", {best[0] / before:.1f} times the row above" if before else ""
        sys.stdout.write(
            f"ticks: {count:6,} rules x {SCOPES} series = {asked.height:9,} pairs: {best[0]:8.1f} ms a tick"
            f" ({1000 * best[0] / asked.height:6.2f} us a pair, {best[1]:,} fire{growth})\n"
        )
        before = best[0]


def _minutes() -> pl.DataFrame:
    """Each series has a reading in each minute of the window."""
    dice = np.random.default_rng(4)
    values = dice.integers(0, 1_000_000, SERIES * WINDOW)
    series, minute = np.repeat(np.arange(SERIES), WINDOW), np.tile(np.arange(TICK - WINDOW, TICK), SERIES)
    rows = pl.DataFrame({"series": series, "minute": minute, "count": 1, "sum": values, "min": values, "max": values})
    return as_minutes(rows)


def _rules(count: int) -> list[Threshold]:
    """Thresholds that few averages reach."""
    one = Threshold(
        "", Name("", ""), "subject", "warning", {}, {}, _NOTHING, _NOTHING, None, False, (), None, "", 1,
        "parking.occupied_ratio", timedelta(minutes=WINDOW), False, compile_condition("avg > 1"), None, "keep",
    )  # fmt: skip
    texts = (f"avg >= {0.8 + n * 1e-6:.6f} and count >= 3" for n in range(count))
    return [replace(one, name=f"rule-{n}", when=compile_condition(text)) for n, text in enumerate(texts)]


def _asked(count: int) -> pl.DataFrame:
    """Each rule's own 100 series; at the top every series is looked at by ten rules."""
    rule = np.repeat(np.arange(count), SCOPES)
    series = (np.arange(count * SCOPES) * 7919) % SERIES
    return pl.DataFrame({"rule": rule, "series": series, "tick": TICK})


def _tick(rules: list[Threshold], asked: pl.DataFrame, source: Source) -> tuple[float, int]:
    """Milliseconds of one tick, and how many pairs fire."""
    standing = pl.DataFrame(schema={"rule": pl.Int32, "series": pl.Int32})
    begun = time.perf_counter()
    flags = worth_folding(evaluate(rules, asked, source, Gaps()), standing)
    histories = [fold(begin(TICK - 1), run, holding_of(rules[scope.rule])) for scope, run in runs(flags)]
    return 1000 * (time.perf_counter() - begun), len(histories)
