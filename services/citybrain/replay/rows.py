"""Apply a map to the rows of a CSV file. Called by records. Pure: rows in, records and problems out, no I/O.

A row whose needed cell is empty is skipped, one that cannot be read is refused; both are counted by code:
empty_cell · not_a_number · bad_time · repeated_time · missing_time · wrong_columns
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from citybrain.replay.csv_map import CELL, SUBJECT, TIME, Cell, CsvMap, Point, Template, Value
from citybrain.replay.errors import ReplayError
from citybrain.replay.local_clock import LocalClock, NoSuchInstant

EMPTY_CELL = "empty_cell"


@dataclass(frozen=True, slots=True)
class Record:
    """One event of a file: its line (from 1), its time where that was asked for and could be read, and itself."""

    line: int
    time: datetime | None
    event: dict[str, Any] | bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """A stretch of a file that makes no event: where, and why."""

    line: int
    code: str
    field: str
    detail: str


class _Unusable(Exception):
    """A cell that makes its row no event."""

    def __init__(self, code: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.field, self.detail = code, field, detail


class RowReader:
    """Turns the rows under one header into events by one map, in file order."""

    def __init__(self, csv_map: CsvMap, header: Sequence[str], file: str) -> None:
        absent = sorted(csv_map.columns() - set(header))
        if absent:
            raise ReplayError(f"{file} has no column {absent[0]!r}, which the map {csv_map.name} reads")
        self._map = csv_map
        self._header = header
        self._clock = LocalClock(csv_map.time.zone, csv_map.time.repeated, csv_map.time.missing)
        self._local = ("", datetime.min.replace(tzinfo=UTC))  # the time read last: the events of a wide row share it

    def read(self, line: int, cells: Sequence[str]) -> Iterator[Record | Problem]:
        """The events of one row: one, or with a wide map one for each filled column."""
        if len(cells) != len(self._header):
            yield Problem(line, "wrong_columns", "", f"{len(cells)} cells under {len(self._header)} columns")
            return
        row = dict(zip(self._header, cells, strict=True))
        if not self._map.wide:
            yield self._event(line, row)
            return
        for column, subject in self._map.wide:
            yield self._event(line, {**row, CELL: row[column], SUBJECT: subject}, column)

    def _event(self, line: int, row: dict[str, str], column: str = "") -> Record | Problem:
        try:
            return self._made(line, row)
        except _Unusable as error:
            return Problem(line, error.code, column if error.field == CELL else error.field, error.detail)

    def _made(self, line: int, row: dict[str, str]) -> Record:
        form = self._map.form
        subject = _text(form.subject, row) if form.subject else None
        at = self._time(row, subject or "")
        row[TIME] = utc_text(at)
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": _text(form.id, row),
            "source": _text(form.source, row),
            "type": _text(form.type, row),
            "time": row[TIME],
        }
        if subject is not None:
            event["subject"] = subject
        if form.area:
            event["area"] = _text(form.area, row)
        values = ((name, _value(value, row)) for name, value in self._map.data)
        event["data"] = {name: value for name, value in values if value is not None}
        return Record(line, at, event)

    def _time(self, row: dict[str, str], series: str) -> datetime:
        rule = self._map.time
        field = " ".join(rule.columns)
        text = " ".join(row[column].strip() for column in rule.columns)
        if not text.strip():
            raise _Unusable(EMPTY_CELL, field, "no time")
        try:
            if text != self._local[0]:
                self._local = (text, _local(text, rule.format))
            return self._clock.instant(self._local[1], series)
        except NoSuchInstant as error:
            raise _Unusable(error.code, field, str(error)) from None
        except (ValueError, OverflowError):
            raise _Unusable("bad_time", field, f"{text!r} is not like {rule.format}") from None


def _local(text: str, shape: str) -> datetime:
    """The local time as written; what zone that is, the clock knows."""
    return datetime.fromisoformat(text) if shape == "iso" else datetime.strptime(text, shape)  # noqa: DTZ007


def _text(template: Template, row: dict[str, str]) -> str:
    for column in template.columns:
        if not row[column].strip():
            raise _Unusable(EMPTY_CELL, column, "empty")
    return template.fill(row)


def _value(value: Value, row: dict[str, str]) -> object:
    match value:
        case Template():
            return _text(value, row)
        case Point():
            return {"type": "Point", "coordinates": [_number(value.lon, row), _number(value.lat, row)]}
        case Cell():
            if value.optional and not row[value.column].strip():
                return None
            return _cell(value, row)


def _cell(cell: Cell, row: dict[str, str]) -> str | int | Decimal:
    if cell.kind == "text":
        return _filled(cell.column, row)
    number = _number(cell.column, row)
    if cell.kind == "number":
        return number * cell.times if cell.times is not None else number
    if number != number.to_integral_value():
        raise _Unusable("not_a_number", cell.column, f"{row[cell.column]!r} is not an integer")
    return int(number)


def _filled(column: str, row: dict[str, str]) -> str:
    text = row[column].strip()
    if not text:
        raise _Unusable(EMPTY_CELL, column, "empty")
    return text


def _number(column: str, row: dict[str, str]) -> Decimal:
    text = _filled(column, row)
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _Unusable("not_a_number", column, f"{text!r} is not a number") from None
    if not number.is_finite() or abs(number.adjusted()) > 400:
        raise _Unusable("not_a_number", column, f"{text!r} is not a number of a usable size")
    return number


def utc_text(at: datetime) -> str:
    """RFC 3339 in UTC, with as many decimals as the time has."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
