"""Own how assets.csv is read and checked. Called by profile.parse_city. Pure. Made for a hundred thousand lines."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from io import StringIO
from typing import TypeVar
from zoneinfo import ZoneInfo

from citybrain.city.literals import (
    Name,
    read_latitude,
    read_longitude,
    read_midnight,
    read_period,
    read_text,
    read_validity,
    read_whole,
)
from citybrain.city.mistakes import Mistake, nearest, quote, unknown
from citybrain.city.roster import AssetFacts, RosterLine
from citybrain.city.text_file import decode
from citybrain.city.validity import ALWAYS

S = TypeVar("S")
T = TypeVar("T")
FILE = "assets.csv"
REQUIRED = ("subject", "type", "area")
COLUMNS = (*REQUIRED, "metrics", "lon", "lat", "every", "name_en", "name_zh", "capacity", "valid_from", "valid_to")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a line may name; None takes anything. A mapping of metrics tells the event type that feeds each."""

    areas: Collection[str] | None
    types: Collection[str] | None
    metrics: Mapping[str, str] | Collection[str] | None


def read_roster(data: bytes, vocabulary: Vocabulary, zone: ZoneInfo, mistakes: list[Mistake]) -> list[RosterLine]:
    """The lines that are right; each mistake in the others is added to the list."""
    text = decode(FILE, data, mistakes)
    if text is None:
        return []
    rows = _rows(text, mistakes)
    header_line, header = next(rows, (1, []))
    if not _check_header(header_line, header, mistakes):
        return []
    reader = _LineReader(header, vocabulary, zone, mistakes)
    found = [(number, line) for number, row in rows if (line := reader.read(number, row)) is not None]
    _check_together(found, mistakes)
    return [line for _, line in found]


def _rows(text: str, mistakes: list[Mistake]) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line, and cells, of each row that is not blank."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    begun = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield begun, cells
            begun = reader.line_num + 1
    except csv.Error as error:
        mistakes.append(Mistake(FILE, begun, "", f"is not CSV: {error}"))


def _check_header(line: int, header: list[str], mistakes: list[Mistake]) -> bool:
    before = len(mistakes)
    for index, column in enumerate(header):
        if column not in COLUMNS:
            mistakes.append(Mistake(FILE, line, column, unknown("column", column, COLUMNS)))
        elif column in header[:index]:
            mistakes.append(Mistake(FILE, line, column, "is there twice"))
    meant = {nearest(column, COLUMNS) for column in header if column not in COLUMNS}
    missing = [column for column in REQUIRED if column not in header and column not in meant]
    mistakes += [Mistake(FILE, line, column, "the column is missing") for column in missing]
    return len(mistakes) == before


class _LineReader:
    """Turns rows into lines; what many rows share is read once."""

    def __init__(self, header: list[str], vocabulary: Vocabulary, zone: ZoneInfo, mistakes: list[Mistake]) -> None:
        self._header = header
        self._vocabulary = vocabulary
        self._mistakes = mistakes
        self._period = cache(read_period)
        self._midnight = cache(partial(read_midnight, zone=zone))
        self._validity = cache(lambda ends: read_validity(*ends))
        self._line = 0

    def read(self, number: int, row: list[str]) -> RosterLine | None:
        """The line, or None when it holds mistakes."""
        self._line, before = number, len(self._mistakes)
        if len(row) != len(self._header):
            self._wrong("", f"has {len(row)} cells, the header has {len(self._header)}")
            return None
        cells = {column: cell for column, cell in zip(self._header, row, strict=True) if cell}
        subject = self._required(cells, "subject", read_text)
        type_ = self._required(cells, "type", self._type)
        area = self._required(cells, "area", self._area)
        begin, end = self._cell(cells, "valid_from", self._midnight), self._cell(cells, "valid_to", self._midnight)
        validity = self._parsed("valid_to", (begin, end), self._validity) or ALWAYS
        metrics = self._metrics(cells, type_)
        every = self._cell(cells, "every", self._period)
        facts = self._facts(cells)
        if len(self._mistakes) > before:
            return None
        return RosterLine(subject, type_, area, metrics, every, validity, facts)

    def _wrong(self, column: str, problem: str) -> None:
        self._mistakes.append(Mistake(FILE, self._line, column, problem))

    def _parsed(self, column: str, written: S, parse: Callable[[S], T]) -> T | None:
        try:
            return parse(written)
        except ValueError as error:
            self._wrong(column, str(error))
            return None

    def _cell(self, cells: dict[str, str], column: str, parse: Callable[[str], T]) -> T | None:
        cell = cells.get(column)
        return None if cell is None else self._parsed(column, cell, parse)

    def _required(self, cells: dict[str, str], column: str, parse: Callable[[str], str]) -> str:
        if column not in cells:
            self._wrong(column, "is missing")
            return ""
        return self._cell(cells, column, parse) or ""

    def _type(self, text: str) -> str:
        types = self._vocabulary.types
        if types is not None and text not in types:
            raise ValueError(unknown("event type", text, types))
        return text

    def _area(self, text: str) -> str:
        if self._vocabulary.areas is not None and text not in self._vocabulary.areas:
            raise ValueError(f"no area has the code {quote(text)}")
        return text

    def _metrics(self, cells: dict[str, str], type_: str) -> tuple[str, ...]:
        metrics = tuple(cells.get("metrics", "").split())
        known = self._vocabulary.metrics
        for index, metric in enumerate(metrics):
            if metric in metrics[:index]:
                self._wrong("metrics", f"{quote(metric)} is there twice")
            elif known is not None and metric not in known:
                self._wrong("metrics", unknown("metric", metric, known))
            elif isinstance(known, Mapping) and type_ and known[metric] != type_:
                self._wrong("metrics", f"{metric} is fed by {known[metric]}, not by {type_}")
        return metrics

    def _facts(self, cells: dict[str, str]) -> AssetFacts:
        lon, lat = self._cell(cells, "lon", read_longitude), self._cell(cells, "lat", read_latitude)
        if ("lon" in cells) != ("lat" in cells):
            self._wrong("lat" if "lon" in cells else "lon", "is missing: a place needs both lon and lat")
        location = None if lon is None or lat is None else (lon, lat)
        name_en, name_zh = self._cell(cells, "name_en", read_text), self._cell(cells, "name_zh", read_text)
        return AssetFacts(Name(name_en or "", name_zh or ""), location, self._cell(cells, "capacity", read_whole))


def _check_together(found: list[tuple[int, RosterLine]], mistakes: list[Mistake]) -> None:
    """At any time a subject is in one area, and each of its types or metrics is on one line."""
    times = Counter(line.subject for _, line in found)
    earlier: dict[str, list[tuple[int, RosterLine]]] = defaultdict(list)
    for number, line in found:
        if times[line.subject] == 1:
            continue
        for other_number, other in earlier[line.subject]:
            if not line.validity.overlaps(other.validity):
                continue
            if line.area != other.area:
                problem = f"{quote(line.subject)} is in {other.area} at the same time (line {other_number})"
                mistakes.append(Mistake(FILE, number, "area", problem))
            elif line.type == other.type and _share_metrics(line, other):
                problem = f"{quote(line.subject)} sends {line.type} at the same time (line {other_number})"
                mistakes.append(Mistake(FILE, number, "subject", problem))
        earlier[line.subject].append((number, line))


def _share_metrics(one: RosterLine, other: RosterLine) -> bool:
    return not one.metrics or not other.metrics or not set(one.metrics).isdisjoint(other.metrics)
