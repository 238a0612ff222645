"""An oracle that no one here wrote: threshold, `for` and `keep_firing_for` agree with Prometheus, by `promtool test rules`.

Every generated series becomes one rule of Prometheus over samples half a minute off its ticks, and one of ours over the same
readings, with `no_data: ok`: a window without a reading is Prometheus' absence of a sample. Firing means that the alert is there.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from citybrain.alert.episodes import episodes_of
from citybrain.alert.gaps import Gaps
from citybrain.alert.lifecycle import Phase, begin, fold, holding_of, state_at
from citybrain.alert.ticks import evaluate, runs
from citybrain.alert.windows import Source, as_minutes
from rules import threshold

SERIES = 240
MINUTES = 45
FIRST = 28_000_000  # any minute
GAUGE_SUM = 1
pytestmark = pytest.mark.filterwarnings("default::pytest.PytestWarning")  # that it is missing is told, not an error


@dataclass(frozen=True)
class Story:
    """A value for each minute, None where nothing was read; the rule fires above 0.5."""

    values: list[float | None]
    window: int
    hold: int
    keep: int


def stories() -> list[Story]:
    """Runs of high, low and missing readings, long and short in proportion to the rule's times."""
    dice = random.Random(4)
    found: list[Story] = []
    for _ in range(SERIES):
        values: list[float | None] = []
        missing = dice.choice((0.0, 0.1, 0.4))
        while len(values) < MINUTES:
            level = dice.choice((0.2, 0.8))
            length = dice.choice((1, 1, 2, 3, 5, 9))
            values += [None if dice.random() < missing else level for _ in range(length)]
        found.append(
            Story(values[:MINUTES], dice.choice((1, 1, 2, 4)), dice.choice((0, 0, 1, 2, 3, 6)), dice.choice((0, 0, 1, 2, 4)))
        )
    return found


def promtool() -> str:
    """Its path; without it the test says so loudly, and fails where everything has to be there."""
    found = shutil.which("promtool")
    if found is None:
        missing = "promtool is not installed (Debian: prometheus): rules were NOT compared with Prometheus"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        warnings.warn(pytest.PytestWarning(missing), stacklevel=2)
        pytest.skip(missing)
    return found


def their_rules(all_stories: list[Story]) -> dict[str, object]:
    rules = [
        {
            "alert": f"story_{n}",
            "expr": f"last_over_time(m_{n}[{one.window}m]) > 0.5",
            "for": f"{one.hold}m",
            "keep_firing_for": f"{one.keep}m",
        }
        for n, one in enumerate(all_stories)
    ]
    return {"groups": [{"name": "stories", "rules": rules}]}


def their_test(all_stories: list[Story], firing: list[list[int]]) -> dict[str, object]:
    """Samples each half minute, of which those on a tick are left out; what we say fires, minute by minute."""
    series = [
        {"series": f"m_{n}", "values": " ".join(f"_ {'_' if value is None else value}" for value in one.values)}
        for n, one in enumerate(all_stories)
    ]
    alerts = [
        {"eval_time": f"{tick}m", "alertname": f"story_{n}", "exp_alerts": [{}] if tick in ticks else []}
        for n, ticks in enumerate(firing)
        for tick in range(MINUTES + 1)
    ]
    test = {"interval": "30s", "input_series": series, "alert_rule_test": alerts}
    return {"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": [test]}


def our_firing(all_stories: list[Story]) -> list[list[int]]:
    """Ticks, counted from the first, at which our engine says firing or recovering, one list a story."""
    found: list[list[int]] = []
    for story in all_stories:
        rule = threshold("last > 0.5", window=story.window, hold=story.hold, keep=story.keep, no_data="ok")
        rows = [(0, FIRST + m, 1, int(value * 10**6)) for m, value in enumerate(story.values) if value is not None]
        frame = pl.DataFrame(rows, schema=["series", "minute", "count", "sum"], orient="row")
        latest = pl.concat_str(pl.col("minute").cast(pl.String), pl.lit("\x01"), pl.col("sum").cast(pl.String))
        minutes = as_minutes(frame.with_columns(latest.alias("latest")))
        ticks = range(FIRST, FIRST + MINUTES + 1)
        asked = pl.DataFrame({"rule": 0, "series": 0, "tick": ticks})
        ((_, run),) = runs(evaluate([rule], asked, Source(minutes, GAUGE_SUM, area=False), Gaps()))
        history = fold(begin(FIRST - 1), run, holding_of(rule))
        found.append([tick - FIRST for tick in ticks if state_at(history, tick).phase >= Phase.FIRING])
        assert all(one.state != "recovering" or story.keep for one in episodes_of(history))
    return found


def run(tool: str, folder: Path, all_stories: list[Story], firing: list[list[int]]) -> subprocess.CompletedProcess[str]:
    (folder / "rules.json").write_text(json.dumps(their_rules(all_stories)))
    (folder / "test.json").write_text(json.dumps(their_test(all_stories, firing)))
    return subprocess.run(
        [tool, "test", "rules", "test.json"], cwd=folder, capture_output=True, text=True, timeout=25, check=False
    )


def test_thresholds_fire_and_resolve_at_the_ticks_at_which_prometheus_does(tmp_path: Path) -> None:
    all_stories = stories()
    firing = our_firing(all_stories)
    assert sum(bool(ticks) for ticks in firing) > SERIES / 3
    done = run(promtool(), tmp_path, all_stories, firing)
    assert done.returncode == 0, (done.stdout + done.stderr)[:3000]


def test_the_oracle_notices_a_tick_that_is_wrong(tmp_path: Path) -> None:
    some = stories()[:20]
    firing = our_firing(some)
    wrong = next(n for n, ticks in enumerate(firing) if ticks)
    firing[wrong] = firing[wrong][1:]
    assert run(promtool(), tmp_path, some, firing).returncode != 0
