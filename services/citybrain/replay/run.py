"""`citybrain replay`: post a file's events in file order, a few batches at a time, and go on after an interruption.

Called by the command line. Posts only over HTTP; what it cannot post it reports and never drops in silence.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from rich.console import Console

from citybrain.client.errors import CityUnreachable, PostRefused
from citybrain.client.http import Answer, CityClient, Patience, city_client
from citybrain.replay.bookmark import Bookmark, BookmarkFile
from citybrain.replay.csv_map import CsvMap, find_map
from citybrain.replay.errors import ReplayError
from citybrain.replay.records import RecordFile
from citybrain.replay.report import Report, Sample, Standing, shown
from citybrain.replay.rows import EMPTY_CELL, Problem, Record
from citybrain.replay.sending import MAX_BATCH_BYTES, Batch, send
from citybrain.replay.timing import Shift, Timing

CHUNK = 500
TOGETHER_S = 0.1
SAVE_EVERY_S = 1.0
STATUS_WAIT_S = 30.0
CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What the command line says. `map_folders` are searched in their order for `map_name`.yaml."""

    file: Path
    to: str = "http://127.0.0.1:8000"
    key: str = field(default="", repr=False)
    map_name: str | None = None
    map_folders: tuple[Path, ...] = ()
    shift: Shift = None
    speed: float | None = None
    batch: int = 500
    patience: Patience = field(default_factory=Patience)


async def replay(options: ReplayOptions, *, console: Console) -> Report:
    """Post the whole file and say what became of it; progress goes to `console`, the report is returned.

    Rejected events are counted, not an error. Raises ReplayError (file, map, address), PostRefused (key, size) or
    CityUnreachable; after either of the last two, or a kill, the same command goes on behind what was answered.
    """
    if not 1 <= options.batch <= 100_000:
        raise ReplayError(f"--batch {options.batch} is not between 1 and 100000")
    csv_map = _map_of(options)
    bookmarks = BookmarkFile(options.file, options.to, repr(csv_map), str(options.shift), str(options.speed))
    timed = options.shift is not None or options.speed is not None
    with RecordFile(options.file, csv_map, timed) as file:
        async with city_client(options.to, options.key, options.patience) as client:
            return await _Run(options, file, bookmarks, client).finish(console)


def _map_of(options: ReplayOptions) -> CsvMap | None:
    if options.map_name is not None:
        return find_map(options.map_name, options.map_folders)
    if options.file.name.lower().endswith(CSV_ENDINGS) and options.file.is_file():
        raise ReplayError(f"{options.file} looks like CSV: say with --map how its rows become events")
    return None


class _Run:
    """One run over one file: reads ahead, counts what is answered, keeps the bookmark."""

    def __init__(self, options: ReplayOptions, file: RecordFile, bookmarks: BookmarkFile, client: CityClient) -> None:
        kept = bookmarks.load()
        self._options, self._file, self._bookmarks, self._client = options, file, bookmarks, client
        self._timing = Timing(options.shift, options.speed, kept.anchor if kept and options.shift == "now" else None)
        self._report = Report.from_json(kept.report) if kept else Report()
        self._report.resumed_at = self._done = kept.done if kept else 0
        self._end, self._accepted_before = self._done, self._report.accepted
        self._problems: deque[tuple[int, Problem]] = deque()
        self._begun_s = self._saved_s = time.monotonic()

    async def finish(self, console: Console) -> Report:
        """Everything from the bookmark to the end of the file, and what the city recognised as repeated."""
        before = await self._status()
        finished = False
        try:
            async with shown(console, self._standing), aclosing(self._batches()) as batches:
                await send(batches, self._client, self._acknowledge)
            self._count_to(self._end)
            finished = True
        finally:
            if finished:
                self._bookmarks.remove()
            elif self._done > self._report.resumed_at:
                self._save()
        self._report.seconds = time.monotonic() - self._begun_s
        await self._learn_repeated(before)
        return self._report

    def _standing(self) -> Standing:
        share = self._file.position_bytes / self._file.size_bytes if self._file.size_bytes else None
        words = f"{self._report.accepted:,} accepted"
        if self._report.rejected:
            words += f", {self._report.rejected.total():,} rejected"
        rate = self._report.sent / max(time.monotonic() - self._begun_s, 0.001)
        waiting = f" · waiting: {self._client.trouble}" if self._client.trouble else ""
        return Standing(share, f"{words} · {rate:,.0f} events/s{waiting}")

    async def _batches(self) -> AsyncGenerator[Batch, None]:
        records, number = iter(self._file), 0
        events: list[bytes] = []
        lines: list[int] = []
        size = 0
        while chunk := await asyncio.to_thread(_take, records):
            for record in chunk:
                number += 1
                if number <= self._report.resumed_at:
                    continue
                if isinstance(record, Problem):
                    self._problems.append((number, record))
                    continue
                wait_s = self._wait_s(record)
                full = len(events) >= self._options.batch or size > MAX_BATCH_BYTES
                if events and (full or wait_s > 0):
                    yield Batch(events, lines, number - 1)
                    events, lines, size = [], [], 0
                if wait_s > 0:
                    await asyncio.sleep(max(wait_s, TOGETHER_S))
                events.append(self._timing.body(record))
                lines.append(record.line)
                size += len(events[-1])
        if events:
            yield Batch(events, lines, number)
        self._end = number

    def _wait_s(self, record: Record) -> float:
        now = datetime.now(UTC)
        return (self._timing.due(record, now) - now).total_seconds()

    def _acknowledge(self, batch: Batch, answer: Answer) -> None:
        self._report.accepted += answer.accepted
        self._report.sent += len(batch.events)
        for one in answer.rejected:
            self._report.refuse(Sample(batch.lines[one.index], one.code, one.field, one.detail))
        self._count_to(batch.end)
        if time.monotonic() - self._saved_s >= SAVE_EVERY_S:
            self._save()

    def _count_to(self, number: int) -> None:
        self._done = self._report.read = number
        while self._problems and self._problems[0][0] <= number:
            _, problem = self._problems.popleft()
            sample = Sample(problem.line, problem.code, problem.field, problem.detail)
            self._report.refuse(sample, skipped=problem.code == EMPTY_CELL)

    def _save(self) -> None:
        self._bookmarks.save(Bookmark(self._done, self._timing.anchor, self._report.to_json()))
        self._saved_s = time.monotonic()

    async def _status(self) -> dict[str, int] | None:
        """The city's figures; None when the key may not read them or the city does not answer now."""
        try:
            status = await self._client.get("/v1/status")
            lag = status["roles"]["aggregate"]["lag"]
            return {"lag": int(lag)} | {name: int(status[name]) for name in ("accepted", "repeated", "conflicts")}
        except (PostRefused, CityUnreachable, KeyError, TypeError, ValueError):
            return None

    async def _learn_repeated(self, before: dict[str, int] | None) -> None:
        """What the city recognised as posted before: by how much its figures rose until it had worked off all of ours.

        What others posted meanwhile is in it. It stays unknown when the figures cannot be had, or not in time.
        """
        end_s = time.monotonic() + STATUS_WAIT_S
        while before is not None and time.monotonic() < end_s:
            after = await self._status()
            if after is None:
                return
            risen = after["accepted"] - before["accepted"]
            if after["lag"] == 0 and risen >= self._report.accepted - self._accepted_before:
                self._report.repeated = after["repeated"] - before["repeated"]
                self._report.conflicts = after["conflicts"] - before["conflicts"]
                return
            await asyncio.sleep(0.2)


def _take(records: Iterator[Record | Problem]) -> list[Record | Problem]:
    return list(islice(records, CHUNK))
