"""Absence: who has been silent too long, from the times of readings. Called by worker and `rules test`. Pure: no clock, no I/O.

Times are microseconds since 1970, ticks minutes since 1970. An asset is armed once it has spoken. It is silent at a final tick
t when it has no reading in [t - longer_than, t), time in pipeline gaps not counted; the next reading ends that at the first
tick after it; a further silence begins one tick later at the earliest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from citybrain.alert.episodes import Episode, Transition
from citybrain.alert.gaps import Gaps, Micros
from citybrain.alert.lifecycle import Flag
from citybrain.alert.ticks import MINUTE_MICROS

FEWEST_SILENT = 5
_SHIFT = 1 << 40  # more than any tick: a group and a tick are one sortable number


class Silence(NamedTuple):
    """How long an asset may be silent, in µs, and when nothing is known of it."""

    longer_than: int
    gaps: Gaps


class Stand(NamedTuple):
    """Where an asset stands: the last settled tick, the last final one, and since when it was silent at the settled one."""

    settled: int
    final: int
    silent_since: int | None = None


def silent_from(readings: Micros, silence: Silence) -> Micros:
    """The first tick at which a reading is longer ago than it may be."""
    gaps = silence.gaps
    found: Micros = gaps.moments(gaps.running(readings) + silence.longer_than) // MINUTE_MICROS + 1
    return found


def silences(readings: Sequence[int], silence: Silence, stand: Stand) -> list[Episode]:
    """An asset's silences that are not settled, in order.

    `readings` are in order: the last one before tick `settled`, and all later ones. A silence that would begin by the settled
    tick is never opened; the one that stands there (`silent_since`) is ended by a reading whose tick comes later.
    """
    found: list[Episode] = []
    begins = silent_from(np.array(readings, np.int64), silence).tolist()
    earliest, live = stand.settled + 1, stand.silent_since
    for n, reading in enumerate(readings):
        tick = reading // MINUTE_MICROS + 1
        if live is not None and tick > max(stand.settled, live):
            found.append(_ended(live, tick))
            live, earliest = None, tick + 1
        started = max(begins[n], earliest) if tick == earliest - 1 else begins[n]
        begun_by = min(stand.final, readings[n + 1] // MINUTE_MICROS) if n + 1 < len(readings) else stand.final
        if live is None and earliest <= started <= begun_by:
            live = started
    return found if live is None else [*found, Episode("firing", live, live, None, live, None, (Transition("firing", live),))]


def _ended(started: int, tick: int) -> Episode:
    steps = (Transition("firing", started), Transition("resolved", tick))
    return Episode("resolved", started, started, tick, tick, None, steps)


def together(silent: pl.DataFrame, armed: pl.DataFrame, after: int, final: int) -> pl.DataFrame:
    """Whether so many assets of a group (a source, a street) are silent that it is the group's silence: group, tick, flag, for
    ticks in (after, final].

    `silent`: group, started, ended (null: it lasts), a row a silence. `armed`: group, since, a row an asset that has spoken,
    with the tick from which it is armed. True where at least five of them, and more than half, are silent.
    """
    groups = silent.select("group").unique().sort("group").with_row_index("n")
    count, ticks = groups.height, np.arange(after + 1, final + 1, dtype=np.int64)
    at = np.repeat(np.arange(count, dtype=np.int64) * _SHIFT, len(ticks)) + np.tile(ticks, count)

    def by_then(rows: pl.DataFrame, name: str) -> Micros:
        known = rows.filter(pl.col(name).is_not_null()).join(groups, on="group")
        keys = np.sort(known["n"].cast(pl.Int64).to_numpy() * _SHIFT + known[name].cast(pl.Int64).to_numpy())
        found: Micros = np.searchsorted(keys, at, "right") - np.searchsorted(keys, at // _SHIFT * _SHIFT, "left")
        return found

    quiet = by_then(silent, "started") - by_then(silent, "ended")
    holds = (quiet >= FEWEST_SILENT) & (2 * quiet > by_then(armed, "since"))
    flags = np.where(holds, int(Flag.TRUE), int(Flag.CLEAR)).astype(np.int8)
    return pl.DataFrame({"group": groups["group"].gather(at // _SHIFT), "tick": at % _SHIFT, "flag": flags})
