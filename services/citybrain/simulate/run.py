"""`citybrain simulate`: post a simulated city's stream as time passes, and write down what really went wrong.

Called by the command line. Posts only over HTTP; asks the city for its grids.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console

from citybrain.client.http import Answer, CityClient, Patience, city_client
from citybrain.replay.errors import ReplayError
from citybrain.replay.report import Report, Sample, Standing, shown
from citybrain.replay.sending import Batch, send
from citybrain.simulate.faults import Fault
from citybrain.simulate.stream import Place, Plan, Post, SimulatedCity

BATCH = 500
TOGETHER_S = 0.2


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What the command line says. Without `begin` the city lives now; with it, it lives then and is posted without waiting."""

    areas: int
    rate: float
    minutes: float
    seed: int = 1
    to: str = "http://127.0.0.1:8000"
    key: str = field(default="", repr=False)
    truth: Path = Path("simulate-truth.ndjson")
    begin: datetime | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    patience: Patience = field(default_factory=Patience)


async def simulate(options: SimulateOptions, *, console: Console) -> Report:
    """Post the whole stream; progress goes to `console`. The report's `repeated` is what was sent twice on purpose.

    The faults are in the file `options.truth` before the first post.
    Raises ReplayError (options, file, address), PostRefused or CityUnreachable.
    """
    _check(options)
    async with city_client(options.to, options.key, options.patience) as client:
        places = await _places(client, options.areas)
        begin = (options.begin or datetime.now(UTC)).replace(microsecond=0)
        plan = Plan(places, options.rate, begin, timedelta(minutes=options.minutes), options.seed, options.zone)
        city = SimulatedCity(plan)
        await asyncio.to_thread(write_truth, options.truth, city.faults)
        return await _Sending(client, plan, paced=options.begin is None).all_of(city, console)


def write_truth(path: Path, faults: Sequence[Fault]) -> None:
    """One JSON object a line: kind, start, end, subject, area."""
    try:
        path.write_text("".join(json.dumps(fault.truth()) + "\n" for fault in faults), "utf-8")
    except OSError as error:
        raise ReplayError(f"cannot write {path}: {error.strerror or error}") from error


def _check(options: SimulateOptions) -> None:
    limits = (
        ("--areas", options.areas, 1, 100_000),
        ("--rate", options.rate, 0.01, 100_000),
        ("--minutes", options.minutes, 0.01, 527_040),
    )
    for name, value, least, most in limits:
        if not least <= value <= most:
            raise ReplayError(f"{name} {value:g} is not between {least:g} and {most:g}")
    if options.begin and options.begin.tzinfo is None:
        raise ReplayError("--begin needs an offset, like 2026-11-01T00:00:00+08:00")


async def _places(client: CityClient, count: int) -> tuple[Place, ...]:
    """The first grids of the city by code, each with the middle of its outline."""
    features = (await client.get("/v1/areas.geojson", {"level": "grid"}))["features"]
    shapes = {str(one["properties"]["code"]): one["geometry"] for one in features}
    if count > len(shapes):
        raise ReplayError(f"--areas {count}: the city has only {len(shapes)} grids")
    return tuple(Place(code, *_middle(shapes[code])) for code in sorted(shapes)[:count])


def _middle(geometry: dict[str, Any]) -> tuple[float, float]:
    """The mean of the corners of the (first) polygon's outline: near enough to be inside a grid."""
    rings = geometry["coordinates"] if geometry["type"] == "Polygon" else geometry["coordinates"][0]
    corners = rings[0][:-1]
    return sum(float(lon) for lon, *_ in corners) / len(corners), sum(float(lat) for _, lat, *_ in corners) / len(corners)


class _Sending:
    """One stream on its way, and what the city says to it."""

    def __init__(self, client: CityClient, plan: Plan, paced: bool) -> None:
        self._client, self._plan, self._paced = client, plan, paced
        self._report, self._begun_s, self._at = Report(), time.monotonic(), plan.begin
        self._repeats = 0

    async def all_of(self, city: SimulatedCity, console: Console) -> Report:
        async with shown(console, self._standing), aclosing(self._batches(city)) as batches:
            await send(batches, self._client, self._acknowledge)
        self._report.seconds = time.monotonic() - self._begun_s
        self._report.repeated = self._repeats
        return self._report

    def _standing(self) -> Standing:
        waiting = f" · waiting: {self._client.trouble}" if self._client.trouble else ""
        rate = self._report.sent / max(time.monotonic() - self._begun_s, 0.001)
        share = min((self._at - self._plan.begin) / self._plan.length, 1.0)
        return Standing(share, f"{self._report.accepted:,} accepted · {rate:,.0f} events/s{waiting}")

    async def _batches(self, city: SimulatedCity) -> AsyncGenerator[Batch, None]:
        due: list[Post] = []
        for post in city.posts():
            wait_s = (post.at - datetime.now(UTC)).total_seconds() if self._paced else 0.0
            if due and (wait_s > 0 or len(due) == BATCH):
                yield self._batch(due)
                due = []
            if wait_s > 0:
                await asyncio.sleep(max(wait_s, TOGETHER_S))
            due.append(post)
        if due:
            yield self._batch(due)

    def _batch(self, due: Sequence[Post]) -> Batch:
        self._repeats += sum(post.repeat for post in due)
        self._at = due[-1].at
        return Batch([post.event for post in due], [post.number for post in due], due[-1].number)

    def _acknowledge(self, batch: Batch, answer: Answer) -> None:
        self._report.read += len(batch.events)
        self._report.sent += len(batch.events)
        self._report.accepted += answer.accepted
        for one in answer.rejected:
            self._report.refuse(Sample(batch.lines[one.index], one.code, one.field, one.detail))
