"""Resident memory of an embedded city and of a worker on Kafka, over two million events with 100,000 series."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench.city import play, running_city, write_profile
from tests.bench.preloaded import preload, read_until, records_of
from tests.bench.shapes import Shape, bodies

from citybrain.profiles import read_city
from cluster import Cluster
from kafka_server import KafkaServer

PART = 100_000
WARM_UP = 5
_MIB = 1 << 20


def measure(events: int = 2_000_000) -> None:
    """Print resident memory after each part, and how far it is from the middle one after warm-up."""
    _tell("embedded", _embedded(events), events)
    _tell("worker", _worker(events), events)


def _embedded(events: int) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="citybrain-bench-") as name, running_city(Path(name), 1_000) as (city, grids):
        resident: list[float] = []
        for part in range(events // PART):
            asyncio.run(play(city, _posts(grids, part)))
            resident.append(city.resident_mib())
        return resident


def _worker(events: int) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="citybrain-bench-") as name:
        root = Path(name)
        grids = write_profile(root / "city", 1_000)
        (root / "kafka").mkdir()
        kafka = KafkaServer(root / "kafka")
        kafka.start()
        city = Cluster(root, f"kafka://{kafka.servers}", CITYBRAIN_SINGLE_REPLICA="true", CITYBRAIN_KAFKA_PARTITIONS="4")
        resident: list[float] = []
        try:
            city.begin(root / "city")
            worker = city.start_without_waiting("aggregate")
            assert worker.process is not None
            for part in range(events // PART):
                records = records_of(_posts(grids, part), read_city(root / "city")[1])
                asyncio.run(preload(kafka.servers, records))
                read_until(city, lambda read, dirty, part=part: read >= (part + 1) * PART and dirty == 0)
                pages = Path(f"/proc/{worker.process.pid}/statm").read_text("utf-8").split()[1]
                resident.append(int(pages) * os.sysconf("SC_PAGE_SIZE") / _MIB)
        finally:
            city.end()
            kafka.kill()
        return resident


def _posts(grids: list[str], part: int) -> list[bytes]:
    begin = datetime.now(UTC) - timedelta(hours=6)
    shape = Shape("meters", PART, 100_000, timedelta(minutes=15), "utility.reading")
    return bodies(shape.posts(grids, begin + part * shape.period, seed=part), 500)


def _tell(what: str, resident: Sequence[float], events: int) -> None:
    settled = resident[WARM_UP:]
    middle = statistics.median(settled)
    spread = max(abs(one / middle - 1) for one in settled)
    print(  # noqa: T201
        f"memory        {what}: {events} events, 100,000 series: {' '.join(f'{one:.0f}' for one in resident)} MiB;"
        f" after {WARM_UP * PART} events within {spread:.1%} of {middle:.0f} MiB",
        flush=True,
    )
