"""Play the samples into a running city and show what becomes of them. Called by `citybrain up --demo`. Talks only HTTP to it."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from citybrain.client.http import Answer, CityClient, Patience, city_client
from citybrain.demo.desks import desks_of, open_desks
from citybrain.demo.figures import LOTS, Figures, Lot, read_lot, read_places
from citybrain.demo.pages import announcement, language_of, lines_of, refused_line, style_of
from citybrain.demo.receiver import Receiver, listening
from citybrain.demo.samples import Moved, load_samples, unheard
from citybrain.demo.view import Guide, Progress, picture, plain_line
from citybrain.errors import CitybrainError
from citybrain.replay.sending import Batch, send

HISTORY_BATCH = 1000
LIFE_BATCH, HURRY_BATCH, LIFE_EVERY_S = 4, 40, 0.5
FULL = 0.95  # of a car park: until one is, life hurries (a demo that is begun in the evening need not wait for the morning)
QUIET, QUIET_RULE, QUIET_S = "dma-03", "demo_meter_silent", 240.0  # is kept silent until it was paged, but not for longer
LOOK_EVERY_S, LOTS_EVERY_S, DRAW_EVERY_S, LINE_EVERY_S = 1.0, 5.0, 0.25, 5.0
RATE_OVER_S = 5.0
SETTLE_S = 60.0
LONG_SILENCE = timedelta(hours=24)
DEMO_PATIENCE = Patience(at_first_s=60.0, later_s=3600.0)


def rules() -> Mapping[str, bytes]:
    """The rule file that the demo adds to the profile's."""
    return {"rules/of-the-demo.yaml": Path(__file__).with_name("rules.yaml").read_bytes()}


async def play(base_url: str, key: str, folder: Path, *, console: Console | None = None) -> None:
    """Post history, then life, and show the city's figures, until cancelled.

    `folder` is a profile with samples and maps. A city that has heard a subject before gets only what is later of it.
    Raises ReplayError when the samples are wrong, PostRefused or CityUnreachable when the city will not take them.
    """
    async with city_client(base_url, key, DEMO_PATIENCE) as client:
        demo = _Demo(client, base_url.rstrip("/"), key, console or Console())
        begun = datetime.now(UTC)
        stream = await asyncio.to_thread(load_samples, folder, begun)
        desks = await asyncio.to_thread(desks_of, folder)
        try:
            async with listening(demo.receiver), asyncio.TaskGroup() as tasks:
                await open_desks(client, desks, demo.receiver)
                tasks.create_task(demo.draw())
                tasks.create_task(demo.look())
                tasks.create_task(demo.post(stream, begun))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None


class _Demo:
    """One playing: what was posted, what the city says, and the picture of both."""

    def __init__(self, client: CityClient, url: str, key: str, console: Console) -> None:
        self._client, self._url, self._key, self._console = client, url, key, console
        self._figures, self._progress = Figures(), Progress()
        self._answered: deque[tuple[float, int]] = deque()
        self._language = language_of(os.environ)
        self.receiver = Receiver(self._page, self._refuse)

    async def post(self, stream: Sequence[Moved], begun: datetime) -> None:
        """History, what to open next, and life for ever."""
        await read_places(self._client, self._figures)
        history, run = unheard(stream, self._figures.heard, begun), f"{begun:%Y%m%dT%H%M%S}"
        self._progress.history = len(history)
        await send(_history(history, run), self._client, self._acknowledge)
        self._progress.settling = True
        await self._settled()
        await read_places(self._client, self._figures)
        self._figures.lots = _largest_lots(stream, self._figures)
        hole = longest_silence(stream, "dma-07", begun)
        steps = Guide(self._url, self._key, datetime.now(UTC)).what_to_open(self._figures, hole)
        self._say(f"\n{steps}\n")
        self._say(announcement(QUIET, self._language))
        self._progress.living = True
        life = _life([one for one in stream if one.at > begun], run, _Hush(self.receiver))
        await send(life, self._client, self._acknowledge)

    async def look(self) -> None:
        """Ask the city how it is, again and again; while it does not answer, the figures stay as they were."""
        lots_at_s = 0.0
        while True:
            with suppress(CitybrainError):
                self._figures.status = await self._client.get("/v1/status")
                if time.monotonic() - lots_at_s >= LOTS_EVERY_S and self._figures.lots:
                    now = datetime.now(UTC)
                    self._figures.lots = [await read_lot(self._client, lot, now) for lot in self._figures.lots]
                    lots_at_s = time.monotonic()
            await asyncio.sleep(LOOK_EVERY_S)

    async def draw(self) -> None:
        """A picture that is drawn again and again, or a line every few seconds where there is no terminal."""
        if not self._console.is_terminal:
            while True:
                await asyncio.sleep(LINE_EVERY_S)
                self._refresh()
                self._say(plain_line(self._progress, self._figures))
        with Live(console=self._console, auto_refresh=False) as live:
            while True:
                self._refresh()
                live.update(picture(self._progress, self._figures, self._url), refresh=True)
                await asyncio.sleep(DRAW_EVERY_S)

    def _say(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def _page(self, webhook: Mapping[str, Any], endpoint: str) -> None:
        for line in lines_of(webhook, endpoint, datetime.now().astimezone(), self._language):
            self._say(line, style_of(webhook))

    def _refuse(self) -> None:
        self._say(refused_line(datetime.now().astimezone(), self._language), "bold red")

    def _refresh(self) -> None:
        begin_s = time.monotonic() - RATE_OVER_S
        while self._answered and self._answered[0][0] < begin_s:
            self._answered.popleft()
        self._progress.per_second = sum(events for _, events in self._answered) / RATE_OVER_S
        self._progress.trouble = self._client.trouble

    def _acknowledge(self, batch: Batch, answer: Answer) -> None:
        self._progress.posted += len(batch.events)
        self._progress.rejected += len(answer.rejected)
        self._answered.append((time.monotonic(), len(batch.events)))

    async def _settled(self) -> None:
        """Until the city has worked off the history, but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while True:
                    await asyncio.sleep(LOOK_EVERY_S)
                    with suppress(CitybrainError):
                        self._figures.status = await self._client.get("/v1/status")
                        if self._figures.lag == 0:
                            return


async def _history(history: Sequence[Moved], run: str) -> AsyncIterator[Batch]:
    for begin in range(0, len(history), HISTORY_BATCH):
        part = history[begin : begin + HISTORY_BATCH]
        yield Batch([one.body(one.at, run) for one in part], range(begin, begin + len(part)), begin + len(part))


@dataclass(slots=True)
class _Hush:
    """Keeps one meter silent from its second reading on, until its silence was paged, so that an absence can be seen."""

    receiver: Receiver
    since_s: float | None = None
    over: bool = False

    def holds_back(self, subject: str) -> bool:
        """Whether a reading of this subject is not to be posted."""
        if subject != QUIET or self.over:
            return False
        if self.since_s is None:
            self.since_s = time.monotonic()
            return False
        self.over = self.receiver.has_paged(QUIET_RULE, QUIET) or time.monotonic() - self.since_s > QUIET_S
        return not self.over


async def _life(ahead: Sequence[Moved], run: str, hush: _Hush) -> AsyncIterator[Batch]:
    """The rest of the samples, a few events at a time, each as if it had just been read; at its end from its beginning again."""
    size = HURRY_BATCH
    for turn in count():
        end = 0
        while end < len(ahead):
            begin, end = end, min(end + size, len(ahead))
            if any(_is_full(one) for one in ahead[begin:end]):
                size = LIFE_BATCH
            now, part = datetime.now(UTC), [n for n in range(begin, end) if not hush.holds_back(ahead[n].subject)]
            if part:
                yield Batch([ahead[n].body(now, f"{run}.{turn}.{n}") for n in part], part, end)
            await asyncio.sleep(LIFE_EVERY_S)


def _is_full(one: Moved) -> bool:
    data = one.event["data"]
    return "capacity" in data and float(data["occupied"]) >= FULL * float(data["capacity"]) > 0


def _largest_lots(stream: Sequence[Moved], figures: Figures) -> list[Lot]:
    sizes = {one.subject: int(one.event["data"]["capacity"]) for one in stream if "capacity" in one.event["data"]}
    largest = sorted(sizes, key=lambda subject: (-sizes[subject], subject))
    return [Lot(subject, figures.areas[subject]) for subject in largest if subject in figures.areas][:LOTS]


def longest_silence(stream: Sequence[Moved], subject: str, now: datetime) -> tuple[datetime, datetime] | None:
    """The longest stretch of history without a reading of a subject, if it is long enough to be shown."""
    times = [one.at for one in stream if one.subject == subject and one.at <= now]
    length, begin, end = max(
        ((after - before, before, after) for before, after in pairwise(times)), default=(timedelta(), now, now)
    )
    return (begin, end) if length > LONG_SILENCE else None
