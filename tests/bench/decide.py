"""What it costs to decide an event that is posted in an array: from the body's bytes to the records for the bus, on one core.

The least of many short turns is printed, for other processes on the machine only ever add to it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from uuid import uuid4

from tests.bench.city import write_profile
from tests.bench.shapes import Shape, bodies, shapes

from citybrain.access import Principal, Role
from citybrain.bus.port import Record
from citybrain.city import City
from citybrain.ingest.decide import Circumstances, decide, decide_usual
from citybrain.ingest.strict_json import cut_array, decode_item
from citybrain.profiles import read_city
from citybrain_schemas.errors import ItemError

EVENTS = 500
TURNS = 200
GRIDS = 1000
Decision = Callable[[bytes, Circumstances], "list[Record | ItemError | None]"]


def measure() -> None:
    """Print µs an event: each decided in full, and as ingest does it."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as root:
        grids = write_profile(Path(root) / "city", GRIDS)
        _, city = read_city(Path(root) / "city")
    for shape in _cases():
        body = bodies(islice(shape.posts(grids, now), EVENTS), EVENTS)[0]
        around = _around(city, now)
        if _usual(body, around) != _in_full(body, around):
            raise SystemExit("the two ways do not agree")
        full, usual = _least_us(_in_full, body, around), _least_us(_usual, body, around)
        sys.stdout.write(f"decide {shape.name:<10} in full {full:5.2f} µs an event, as usual {usual:5.2f}\n")


def _cases() -> list[Shape]:
    return [replace(shape, events=EVENTS, subjects=EVENTS) for shape in shapes(EVENTS)[:3]]


def _around(city: City, now: datetime) -> Circumstances:
    return Circumstances.of(city, Principal(uuid4(), "bench", Role.ADMIN, None), now)


def _in_full(body: bytes, around: Circumstances) -> list[Record | ItemError | None]:
    return [decide(decode_item(text), around) for text in cut_array(body)]


def _usual(body: bytes, around: Circumstances) -> list[Record | ItemError | None]:
    return [decide_usual(text, around) for text in cut_array(body)]


def _least_us(decision: Decision, body: bytes, around: Circumstances) -> float:
    least = float("inf")
    for _ in range(TURNS):
        begun = time.perf_counter()
        decision(body, around)
        least = min(least, time.perf_counter() - begun)
    return least * 1e6 / EVENTS
