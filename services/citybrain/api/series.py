"""`GET /v1/series`: a metric of an area or asset over time. Called by router.

Windows that ended by `final_through` are read as stored, later hours and days are made up from their leaves, all in one
snapshot. Windows in holes are shown with count 0 and nulls, other empty ones are left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from citybrain.api.feeding import Expected, Feeder, candidates, feeders
from citybrain.api.figures import average, last_micros, plain, value_micros
from citybrain.api.hierarchy import Hierarchy, hierarchy_of
from citybrain.api.intervals import Interval, Intervals, subtract, union
from citybrain.api.silent_windows import silent_starts
from citybrain.api.steps import Step, floor_hour
from citybrain.city import City
from citybrain.city.validity import LATEST
from citybrain.store import window_reads
from citybrain.store.pool import Connection
from citybrain.store.window_reads import MetricRow, OpenSpan, Scope, Standing, Window

AHEAD = timedelta(minutes=10)  # events may be this far ahead of our clock, and a little more


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: windows that start in [begin, end), at most `limit` points."""

    metric: str
    area: str
    subject: str | None
    step: Step
    begin: datetime
    end: datetime
    limit: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The points as JSON texts, and where the next page begins."""

    points: list[str]
    next_begin: datetime | None


async def read_series(connection: Connection, city: City, question: Question, metric: MetricRow | None, now: datetime) -> Answer:
    """One page of a series. The metric is None while nobody has reported it."""
    standing = await window_reads.standing(connection)
    reader = _Reader(connection, city, question, standing, now)
    scope = None if metric is None else await reader.scope(metric.mode)
    rows = [] if scope is None else await reader.rows(scope)
    horizon = rows[question.limit].start if len(rows) > question.limit else question.end
    rows = rows[: question.limit]
    feeding = await reader.feeding(seen=scope is not None)
    empty = subtract([(question.begin, horizon)], _busy(rows, question.step)) if question.begin < horizon else []
    silent = await silent_starts(connection, feeding, empty, question.step, standing)
    mode, leaf = metric.mode if metric else 0, question.subject is not None
    points = _Points(question.step, Expected(feeding), standing.watermark, mode, leaf)
    further = None if horizon == question.end else horizon
    return await asyncio.to_thread(_page, points, rows, silent, question.limit, further)


@dataclass(frozen=True, slots=True)
class _Reader:
    """What a question is answered from: one snapshot and the city."""

    connection: Connection
    city: City
    question: Question
    standing: Standing
    now: datetime

    @property
    def hierarchy(self) -> Hierarchy:
        return hierarchy_of(self.city.areas)

    async def scope(self, mode: int) -> Scope | None:
        """Which rows answer; None when there are none."""
        metric, area, subject = self.question.metric, self.question.area, self.question.subject
        if subject is not None:
            below = self.hierarchy.ever_below(area)
            own = await window_reads.subject_series(self.connection, metric, subject)
            own = {code: number for code, number in own.items() if code in below}
            parents = tuple((await window_reads.area_series(self.connection, metric, list(own))).values())
            series = tuple(own.values())
            return Scope(series, parents, parents, series) if own else None
        numbers = await window_reads.area_series(self.connection, metric, [area, *self.hierarchy.parents(area)])
        number = numbers.pop(area, None)
        return None if number is None else Scope((number,), (-number, *numbers.values()), mode=mode)

    async def rows(self, scope: Scope) -> list[Window]:
        """Windows with readings in order, one more than the limit when there are more."""
        step, limit = self.question.step, self.question.limit + 1
        begin, end = self.question.begin, self.question.end
        if step.name == "1m":
            return await window_reads.stored(self.connection, "1m", scope, (begin, end), limit)
        bound = step.floor(self.standing.final_through)  # windows that start earlier have ended by then
        rows = await window_reads.stored(self.connection, step.name, scope, (begin, min(end, bound)), limit)
        begin, end = step.ceiling(max(begin, bound)), step.ceiling(min(end, self.now + AHEAD))
        for stretch in self.hierarchy.stretches(begin, end) if begin < end else []:
            if len(rows) < limit:
                rows += await self._made_up(scope, stretch, limit - len(rows))
        return rows

    async def _made_up(self, scope: Scope, stretch: Interval, limit: int) -> list[Window]:
        step, metric = self.question.step, self.question.metric
        begin, end = step.ceiling(stretch[0]), step.ceiling(stretch[1])
        if begin >= end:
            return []
        if scope.leaf_series is None:
            below = list(self.hierarchy.below(self.question.area, begin))
            numbers = await window_reads.area_series(self.connection, metric, below)
            scope = Scope(scope.series, scope.parents, tuple(numbers.values()), None, scope.mode)
        return await window_reads.made_up(self.connection, scope, open_span(step, begin, end, self.standing), limit)

    async def feeding(self, *, seen: bool) -> list[Feeder]:
        """The roster's assets that feed what is asked. An asset that was seen here counts wherever its line puts it."""
        metric, area, subject = self.question.metric, self.question.area, self.question.subject
        anywhere = subject is not None and seen
        codes = self.city.areas.codes if anywhere else self.hierarchy.ever_below(area)
        lines = candidates(self.city, metric, codes, subject)
        unnamed = [line.subject for line in lines if not line.metrics]
        reported = await window_reads.reporting(self.connection, metric, unnamed) if unnamed else set()
        if not anywhere:
            return feeders(lines, reported, self.hierarchy, area)
        return [one for line in lines for one in feeders([line], reported, self.hierarchy, line.area)]


def open_span(step: Step, begin: datetime, end: datetime, standing: Standing) -> OpenSpan:
    """How hours or days that start in [begin, end), both of them starts, are made up."""
    if step.name == "1h":
        return OpenSpan(begin, end, begin)
    days = tuple(step.starts(begin, end))
    whole_hours = all(floor_hour(day) == day for day in (*days, end))
    return OpenSpan(begin, end, floor_hour(standing.final_through) if whole_hours else begin, whole_hours, days)


def _busy(rows: Sequence[Window], step: Step) -> list[Interval]:
    return union((row.start, step.after(row.start)) for row in rows)


@dataclass(frozen=True, slots=True)
class _Points:
    """Writes points as JSON texts: numbers exactly, times in UTC."""

    step: Step
    expected: Expected
    watermark: datetime | None
    mode: int
    leaf: bool

    def full(self, row: Window) -> str:
        value = value_micros(row, self.mode, leaf=self.leaf)
        return (
            f'{{"start":"{iso(row.start)}","count":{row.readings},"sum":{plain(row.sum)},"min":{plain(row.min)},'
            f'"max":{plain(row.max)},"avg":{plain(average(row))},"last":{plain(last_micros(row.latest))},'
            f'"value":{"null" if value is None else plain(value)},"subjects":{row.subjects},'
            f'{self._rest(row.start)},"revision":{row.revision}}}'
        )

    def empty(self, start: datetime) -> str:
        return (
            f'{{"start":"{iso(start)}","count":0,"sum":null,"min":null,"max":null,"avg":null,"last":null,"value":null,'
            f'"subjects":0,{self._rest(start)},"revision":0}}'
        )

    def _rest(self, start: datetime) -> str:
        end = self.step.after(start)
        final = "true" if self.watermark is not None and end <= self.watermark else "false"
        return f'"expected":{self.expected.text(start, end)},"final":{final}'


def iso(at: datetime) -> str:
    """A UTC instant as RFC 3339 text with Z."""
    return at.isoformat()[:-6] + "Z"


def _page(points: _Points, rows: Sequence[Window], silent: Intervals, limit: int, horizon: datetime | None) -> Answer:
    """Rows and silent windows in order, cut at the limit."""
    quiet = (start for begin, end in silent for start in points.step.starts(begin, end))
    texts: list[str] = []
    for start, row in _merged(rows, quiet):
        if len(texts) == limit:
            return Answer(texts, start)
        texts.append(points.full(row) if row is not None else points.empty(start))
    return Answer(texts, horizon)


def _merged(rows: Sequence[Window], quiet: Iterator[datetime]) -> Iterator[tuple[datetime, Window | None]]:
    waiting = next(quiet, LATEST)
    for row in rows:
        while waiting < row.start:
            yield waiting, None
            waiting = next(quiet, LATEST)
        yield row.start, row
    while waiting < LATEST:
        yield waiting, None
        waiting = next(quiet, LATEST)


def series_json(question: Question, unit: str, answer: Answer, next_cursor: str | None) -> bytes:
    """The whole answer."""
    head = msgspec.json.encode(
        {
            "metric": question.metric,
            "unit": unit,
            "area": question.area,
            "subject": question.subject,
            "step": question.step.name,
            "next": next_cursor,
        }
    )
    return head[:-1] + b',"points":[' + ",".join(answer.points).encode() + b"]}"
