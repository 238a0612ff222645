"""A preloaded Kafka topic to committed rows and to rollups caught up: one worker and two, against the yardstick.

Prints events/s and ratios by shape, what a second worker adds, and how long a minute's stop takes to make up for.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the tests' own modules are

import asyncpg
from tests.bench.city import write_profile
from tests.bench.shapes import Shape, bodies, shapes
from tests.bench.yardstick import seconds_of_yardstick

from citybrain.access import Principal, Role
from citybrain.bus.kafka import open_kafka_bus
from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.bus.port import Record
from citybrain.city import City
from citybrain.ingest.decide import Circumstances, decide_usual
from citybrain.profiles import read_city
from citybrain.store.embedded_settings import memory_bytes
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC
from cluster import Cluster, wait_for
from kafka_server import KafkaServer

GRIDS, POST, CHUNK = 1_000, 500, 2_000
LIMIT_S, LOOK_S = 600, 0.05
STOP_S, PACE = 60, 10_000  # a worker is away so long while so many events a second arrive
_KEY = Principal(UUID(int=0), "bench", Role.INGEST)
_STANDING = """
select (select coalesce(sum(next_offset), 0) from bus_position where role = 'aggregate')::bigint as read,
       (select count(*) from (select from dirty limit 1) d) as dirty
"""


class Rates(NamedTuple):
    """Events a second: of the yardstick; of one worker to committed rows, to rollups caught up, and from its first batch on; of
    two workers to committed rows."""

    yardstick: float
    committed: float
    rolled_up: float
    from_first: float
    two: float


def measure(names: list[str], events: int, runs: int) -> None:
    """Alternate yardstick, one worker and two; print medians."""
    for shape in shapes(events):
        if shape.name not in (names or ["dense", "meters"]):
            continue
        found = [_one_run(shape) for _ in range(runs)]
        rates = Rates(*(statistics.median(column) for column in zip(*found, strict=True)))
        ratios = [statistics.median(one[n] / one.yardstick for one in found) for n in range(len(rates))]
        print(  # noqa: T201
            f"preloaded {shape.name:<8} {shape.events} events  yardstick {rates.yardstick:.0f}/s"
            f"  committed {rates.committed:.0f}/s ratio {ratios[1]:.3f}  rolled up {rates.rolled_up:.0f}/s ratio {ratios[2]:.3f}"
            f"  first events of sensors included {rates.from_first:.0f}/s ratio {ratios[3]:.3f}"
            f"  two workers {rates.two / rates.committed:.2f} times one",
            flush=True,
        )
    print(f"a worker that was away for {STOP_S} s at {PACE} events/s: caught up in {_recovery_s():.1f} s", flush=True)  # noqa: T201


def _one_run(shape: Shape) -> Rates:
    with tempfile.TemporaryDirectory(prefix="citybrain-bench-") as name:
        root = Path(name)
        codes = write_profile(root / "city", GRIDS)
        posts = bodies(shape.posts(codes, datetime.now(UTC)), POST)
        records = records_of(posts, read_city(root / "city")[1])
        committed, rolled_up, from_first = _consume(root / "one", root / "city", records, shape.subjects, 1)
        two, _, _ = _consume(root / "two", root / "city", records, shape.subjects, 2)
        stick_s = asyncio.run(seconds_of_yardstick(root / "yardstick", posts))
        return Rates(len(records) / stick_s, committed, rolled_up, from_first, two)


def _consume(root: Path, profile: Path, records: Sequence[Record], known: int, workers: int) -> tuple[float, float, float]:
    """Events a second once a city knows its sensors, which it does after `known` records: to committed rows, to rollups caught
    up; and to committed rows from the first batch on, which itself is not waited for."""
    root.mkdir()
    (root / "kafka").mkdir()
    kafka = KafkaServer(root / "kafka")
    kafka.start()
    city = Cluster(root, f"kafka://{kafka.servers}", memory_bytes(), CITYBRAIN_SINGLE_REPLICA="true")  # as the yardstick's
    try:
        city.begin(profile)
        asyncio.run(preload(kafka.servers, records))
        for _ in range(workers):
            city.start_without_waiting("aggregate")
        first_at, first = read_until(city, lambda read, _: read > 0)
        begun_at, before = read_until(city, lambda read, _: read >= known)
        stored_at, read = read_until(city, lambda read, _: read >= len(records))
        rolled_at, _ = read_until(city, lambda _, dirty: dirty == 0)
        count = read - before
        return count / (stored_at - begun_at), count / (rolled_at - begun_at), (read - first) / (stored_at - first_at)
    finally:
        city.end()
        kafka.kill()


def read_until(city: Cluster, holds: Callable[[int, int], bool]) -> tuple[float, int]:
    """When it held, on the monotonic clock, and how many records were read by then."""

    async def look() -> tuple[float, int]:
        connection = await asyncpg.connect(city.values["CITYBRAIN_DATABASE_URL"])
        try:
            end = time.monotonic() + LIMIT_S
            while True:
                read, dirty = await connection.fetchrow(_STANDING)
                if holds(read, dirty):
                    return time.monotonic(), read
                if time.monotonic() > end:
                    raise RuntimeError("the workers did not get there in time")
                await asyncio.sleep(LOOK_S)
        finally:
            await connection.close()

    found: tuple[float, int] = wait_for(look())
    return found


def records_of(posts: Sequence[bytes], city: City) -> list[Record]:
    """What ingest would append."""
    around = Circumstances.of(city, _KEY, datetime.now(UTC))
    found = [decide_usual(json.dumps(event).encode(), around) for body in posts for event in json.loads(body)]
    return [one for one in found if one is not None]


async def preload(servers: str, records: Sequence[Record]) -> None:
    async with open_kafka_bus(servers, KafkaSettings(partitions=4, replication=1, single_replica=True), Metrics()) as bus:
        for at in range(0, len(records), CHUNK):
            await bus.append(EVENTS_TOPIC, records[at : at + CHUNK])


def _recovery_s() -> float:
    """Seconds from a worker's return until nothing waits, while events go on arriving."""
    with tempfile.TemporaryDirectory(prefix="citybrain-bench-") as name:
        root = Path(name)
        codes = write_profile(root / "city", GRIDS)
        (shape,) = (one for one in shapes(2 * STOP_S * PACE) if one.name == "dense")
        records = records_of(bodies(shape.posts(codes, datetime.now(UTC)), POST), read_city(root / "city")[1])
        (root / "kafka").mkdir()
        kafka = KafkaServer(root / "kafka")
        kafka.start()
        city = Cluster(root, f"kafka://{kafka.servers}", memory_bytes(), CITYBRAIN_SINGLE_REPLICA="true")
        try:
            city.begin(root / "city")
            missed, coming = records[: STOP_S * PACE], records[STOP_S * PACE :]
            asyncio.run(preload(kafka.servers, missed))
            city.start_without_waiting("aggregate")
            begun, _ = read_until(city, lambda read, _: read > 0)
            poster = threading.Thread(target=lambda: asyncio.run(_pace(kafka.servers, coming)), daemon=True)
            poster.start()
            caught, _ = read_until(
                city, lambda read, _: read >= len(missed) + min(len(coming), int((time.monotonic() - begun - 1) * PACE))
            )
            return caught - begun
        finally:
            city.end()
            kafka.kill()


async def _pace(servers: str, records: Sequence[Record]) -> None:
    begun = time.monotonic()
    async with open_kafka_bus(servers, KafkaSettings(partitions=4, replication=1, single_replica=True), Metrics()) as bus:
        for at in range(0, len(records), CHUNK):
            await asyncio.sleep(max(0.0, begun + at / PACE - time.monotonic()))
            await bus.append(EVENTS_TOPIC, records[at : at + CHUNK])
