"""`GET /v1/series`: what may be asked, and the answer's form. Called by router; series.py reads."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from citybrain.api.params import Cursor, Cursors, Instant, Moment, Text, known_area
from citybrain.api.parts import ApiParts
from citybrain.api.replies import JSON
from citybrain.api.series import Question, read_series, series_json
from citybrain.api.steps import Step, StepName, fitting
from citybrain.city import City
from citybrain.store import window_reads
from citybrain.web import answers, invalid
from citybrain_schemas.metrics import METRICS

MAX_POINTS = 10_000
_CURSORS = Cursors("series", tuple[Moment])


class SeriesPoint(BaseModel):
    """A window. In a hole `count` is 0 and the rest null. `expected` is null where nothing is due twice in the window."""

    start: datetime
    count: int
    sum: float | None
    min: float | None
    max: float | None
    avg: float | None
    last: float | None
    value: float | None
    subjects: int
    expected: float | None
    final: bool
    revision: int


class Series(BaseModel):
    """A metric over time; numbers are exact decimals."""

    metric: str
    unit: str
    area: str
    subject: str | None
    step: StepName
    points: list[SeriesPoint]
    next: str | None


def add_series(router: APIRouter, parts: ApiParts) -> None:
    """The route."""

    @router.get("/v1/series", summary="A metric of an area or asset over time", responses=answers(404, done={200: Series}))
    async def series(  # noqa: PLR0913, PLR0917 - the query of the contract
        metric: Annotated[Text, Query(description="its name, like parking.occupied")],
        area: Annotated[Text, Query(description="code of an area of any level")],
        begin: Annotated[Instant, Query(alias="from", description="windows that start at or after")],
        end: Annotated[Instant, Query(alias="to", description="windows that start before")],
        step: Annotated[StepName | None, Query(description="without it the finest with at most 1,500 windows")] = None,
        subject: Annotated[Text | None, Query(description="one asset in place of the area")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_POINTS)] = MAX_POINTS,
        cursor: Cursor = None,
    ) -> Response:
        city = parts.city()
        step = step or fitting(begin, end)  # of the whole request: it stays what it is on every page
        page_begin = _CURSORS.read(cursor)
        begin = min(max(begin, page_begin[0]), end) if page_begin is not None else begin
        return await answer(parts, city, Question(metric, area, subject, Step(step, city.settings.zone), begin, end, limit))


async def answer(parts: ApiParts, city: City, question: Question) -> Response:
    """One page as JSON. Raises Problem 404 for a metric or area that does not exist."""
    known_area(city.areas, question.area)
    declared = METRICS.get(question.metric)
    async with window_reads.snapshot(parts.pool) as connection:
        metric = await window_reads.find_metric(connection, question.metric)
        if metric is None and declared is None:
            raise invalid("metric", f"there is no metric {question.metric!r}", 404)
        found = await read_series(connection, city, question, metric, parts.clock())
    unit = metric.unit if metric is not None else declared.unit if declared is not None else ""
    cursor = None if found.next_begin is None else _CURSORS.write((found.next_begin,))
    return Response(series_json(question, unit, found, cursor), media_type=JSON)
