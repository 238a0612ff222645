"""Resident memory of the embedded city over two million events with 100,000 series, in parts of 100,000."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench.city import play, running_city
from tests.bench.shapes import Shape, bodies

PART = 100_000
WARM_UP = 3


def measure(events: int = 2_000_000) -> None:
    """Print resident memory after each part, and how far it is from the first one after warm-up."""
    resident: list[float] = []
    with tempfile.TemporaryDirectory(prefix="citybrain-bench-") as name, running_city(Path(name), 1_000) as (city, grids):
        begin = datetime.now(UTC) - timedelta(hours=6)
        shape = Shape("meters", PART, 100_000, timedelta(minutes=15), "utility.reading")
        for part in range(events // PART):
            posts = bodies(shape.posts(grids, begin + part * shape.period, seed=part), 500)
            asyncio.run(play(city, posts))
            resident.append(city.resident_mib())
    settled = resident[WARM_UP:]
    spread = max(abs(one / settled[0] - 1) for one in settled)
    print(  # noqa: T201
        f"memory        {events} events, 100,000 series: {' '.join(f'{one:.0f}' for one in resident)} MiB;"
        f" within {spread:.1%} after {WARM_UP * PART} events",
        flush=True,
    )
