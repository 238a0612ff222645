"""Embedded city, HTTP posts to committed rows, against the yardstick: events/s and ratios, by shape."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.city import Played, play, running_city
from tests.bench.shapes import Shape, bodies, shapes
from tests.bench.yardstick import seconds_of_yardstick

GRIDS, POST = 1_000, 500


def measure(names: list[str], events: int, runs: int) -> None:
    """Alternate yardstick and city, print medians."""
    for shape in shapes(events):
        if names and shape.name not in names:
            continue
        results = [one_run(shape) for _ in range(runs)]
        count = shape.events - -(-shape.subjects // POST) * POST
        stick = statistics.median(yard for yard, _ in results)
        accepted, stored, rolled = (
            statistics.median(getattr(played, name) for _, played in results)
            for name in ("accepted_s", "stored_s", "rolled_up_s")
        )
        print(  # noqa: T201
            f"{shape.name:<10} {count:>8} events  yardstick {count / stick:>7.0f}/s  accepted {count / accepted:>6.0f}/s"
            f"  committed {count / stored:>6.0f}/s ratio {stick / stored:.3f}"
            f"  rolled up {count / rolled:>6.0f}/s ratio {stick / rolled:.3f}",
            flush=True,
        )


def one_run(shape: Shape) -> tuple[float, Played]:
    """Seconds of the yardstick, and of a fresh city."""
    with tempfile.TemporaryDirectory(prefix="citybrain-bench-") as name:
        root = Path(name)
        with running_city(root, GRIDS) as (city, grids):
            posts = bodies(shape.posts(grids, datetime.now(UTC)), POST)
            warm_up, measured = posts[: -(-shape.subjects // POST)], posts[-(-shape.subjects // POST) :]
            asyncio.run(play(city, warm_up))  # a city knows its sensors: the first event of each is not what is measured
            played = asyncio.run(play(city, measured))
        return asyncio.run(seconds_of_yardstick(root / "yardstick", measured)), played
