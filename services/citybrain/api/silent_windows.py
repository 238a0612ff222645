"""Which windows of an area or asset lie in a hole of everything that feeds it. Called by series.

A window without readings lies in a hole when at least one asset counts for it and each that counts is silent over all of
it. Assets are asked a few at a time: the first that spoke settles the windows it spoke in, so a healthy area costs little.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from citybrain.api.feeding import Feeder
from citybrain.api.heard import find_silences
from citybrain.api.holes import dues, holes, window_starts
from citybrain.api.intervals import Interval, Intervals, intersect, subtract, union
from citybrain.api.steps import Step
from citybrain.store.pool import Connection
from citybrain.store.window_reads import Standing

_FIRST_CHUNK, _GROWTH = 2, 4


async def silent_starts(
    connection: Connection, feeding: Sequence[Feeder], empty: Intervals, step: Step, standing: Standing
) -> list[Interval]:
    """The intervals of starts, within those of windows without readings, at which every feeder is silent."""
    by_asset: defaultdict[tuple[str, str], list[Feeder]] = defaultdict(list)
    for feeder in feeding:
        by_asset[feeder.line.subject, feeder.line.type].append(feeder)
    left = intersect(empty, union(part for feeder in feeding for part in feeder.active))
    assets, at, size = sorted(by_asset), 0, _FIRST_CHUNK
    while left and at < len(assets):
        chunk = [feeder for key in assets[at : at + size] for feeder in by_asset[key]]
        left = subtract(left, await _spoken(connection, chunk, left, step, standing))
        at, size = at + size, size * _GROWTH
    return left


async def _spoken(
    connection: Connection, feeding: Sequence[Feeder], empty: Sequence[Interval], step: Step, standing: Standing
) -> list[Interval]:
    """The starts at which one of these assets counts and is not silent over the window."""
    wanted = dues(feeder.line for feeder in feeding)
    found, mark = await find_silences(connection, wanted, empty, step, standing), standing.watermark
    silent: defaultdict[tuple[str, str], list[Interval]] = defaultdict(list)
    for due in wanted:
        windows = (window_starts(hole, step, mark) for hole in holes(found[due.subject, due.type], due, mark))
        silent[due.subject, due.type] += [one for one in windows if one is not None]
    return union(part for one in feeding for part in subtract(one.active, union(silent[one.line.subject, one.line.type])))
