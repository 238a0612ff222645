"""A map: how the rows of a CSV file become events. Read from YAML by run and demo, applied by rows. Never reads the CSV itself.

time:  {columns, format, timezone, repeated, missing}   columns are joined by a space; format is strptime's, or `iso`
csv:   {delimiter, encoding}                            optional; a byte order mark is skipped
wide:  {column: subject, …}                             optional; one event a filled cell; `$cell`, `$subject` name it
event: {type, source, id, subject, area, data}          texts with {Column}; `{$time}` is the instant in UTC
data:  field: "constant or {Column}" | {column, as: text|integer|number, times, optional} | {lon, lat}
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from citybrain.replay.errors import ReplayError
from citybrain.replay.local_clock import Missing, Repeated
from citybrain.replay.yaml_lines import Entry

CELL, SUBJECT, TIME = "$cell", "$subject", "$time"
Kind = Literal["text", "integer", "number"]
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A text with columns in it: texts and column names by turns, a text first."""

    parts: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns and `$` names that it holds."""
        return self.parts[1::2]

    def fill(self, row: Mapping[str, str]) -> str:
        """The text for one row; KeyError when a column is not in it."""
        return "".join(row[part] if n % 2 else part for n, part in enumerate(self.parts))


@dataclass(frozen=True, slots=True)
class Cell:
    """A field of the data that is one column's cell."""

    column: str
    kind: Kind = "text"
    times: Decimal | None = None
    optional: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The column it is read from."""
        return (self.column,)


@dataclass(frozen=True, slots=True)
class Point:
    """A field of the data that is a GeoJSON point of two columns, in degrees of WGS 84."""

    lon: str
    lat: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is read from."""
        return (self.lon, self.lat)


Value = Template | Cell | Point


@dataclass(frozen=True, slots=True)
class TimeRule:
    """Where a row's time is and how it is read."""

    columns: tuple[str, ...]
    format: str
    zone: ZoneInfo
    repeated: Repeated
    missing: Missing


@dataclass(frozen=True, slots=True)
class Form:
    """The envelope of the events that a map makes."""

    type: Template
    source: Template
    id: Template
    subject: Template | None
    area: Template | None


@dataclass(frozen=True, slots=True)
class CsvMap:
    """One map, checked."""

    name: str
    delimiter: str
    encoding: str
    time: TimeRule
    form: Form
    data: tuple[tuple[str, Value], ...]
    wide: tuple[tuple[str, str], ...]

    def columns(self) -> set[str]:
        """Every column that the file's header has to hold."""
        form = self.form
        texts = [part for part in (form.type, form.source, form.id, form.subject, form.area) if part]
        named = {column for part in (*texts, *(value for _, value in self.data)) for column in part.columns}
        named |= {*self.time.columns, *(column for column, _ in self.wide)}
        return {column for column in named if not column.startswith("$")}


def find_map(name: str, folders: Sequence[Path]) -> CsvMap:
    """The map of that name in the first folder that holds NAME.yaml, or the file itself when `name` is a path."""
    places = [Path(name)] if name.endswith((".yaml", ".yml")) else [folder / f"{name}.yaml" for folder in folders]
    for place in places:
        if place.is_file():
            try:
                return parse_map(str(place), place.read_text("utf-8-sig"))
            except (OSError, UnicodeDecodeError) as error:
                raise ReplayError(f"cannot read the map {place}: {error}") from error
    known = sorted({path.stem for folder in folders if folder.is_dir() for path in folder.glob("*.yaml")})
    raise ReplayError(f"no map named {name!r}; known: {', '.join(known) or 'none'}")


def parse_map(file: str, text: str) -> CsvMap:
    """Check one map. `file` is how messages call it; the first mistake is raised as a MapError with line and field."""
    top = Entry.parse(file, text).fields({"csv", "time", "wide", "event"}, ("time", "event"))
    delimiter, encoding = _dialect(top.get("csv"))
    wide = tuple((column, entry.text()) for column, entry in top["wide"].fields().items()) if "wide" in top else ()
    names = frozenset({TIME, SUBJECT, CELL} if wide else {TIME})
    event = top["event"].fields({"type", "source", "id", "subject", "area", "data"}, ("type", "source", "id", "data"))
    texts = {name: _template(entry, names) for name, entry in event.items() if name != "data"}
    form = Form(texts["type"], texts["source"], texts["id"], texts.get("subject"), texts.get("area"))
    data = tuple((name, _value(entry, names)) for name, entry in event["data"].fields().items())
    return CsvMap(Path(file).stem, delimiter, encoding, _time_rule(top["time"]), form, data, wide)


def _dialect(entry: Entry | None) -> tuple[str, str]:
    fields = entry.fields({"delimiter", "encoding"}) if entry else {}
    delimiter = fields["delimiter"].text() if "delimiter" in fields else ","
    if len(delimiter) != 1:
        raise fields["delimiter"].wrong("must be one character")
    encoding = fields["encoding"].text() if "encoding" in fields else "utf-8"
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise fields["encoding"].wrong(f"unknown encoding {encoding!r}") from None
    return delimiter, "utf-8-sig" if name == "utf-8" else name


def _time_rule(entry: Entry) -> TimeRule:
    names = {"columns", "format", "timezone", "repeated", "missing"}
    fields = entry.fields(names, ("columns", "format", "timezone"))
    zone_entry, shape = fields["timezone"], fields["format"].text()
    try:
        zone = ZoneInfo(zone_entry.text())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise zone_entry.wrong(f"unknown time zone {zone_entry.text()!r}") from None
    if shape != "iso":
        _try_format(fields["format"], shape)
    repeated = fields["repeated"].one_of(("second_is_later", "first", "reject")) if "repeated" in fields else "first"
    missing = fields["missing"].one_of(("shift_forward", "reject")) if "missing" in fields else "shift_forward"
    columns = tuple(item.text() for item in fields["columns"].items())
    if not columns:
        raise fields["columns"].wrong("names no column")
    return TimeRule(columns, shape, zone, cast("Repeated", repeated), cast("Missing", missing))


def _try_format(entry: Entry, shape: str) -> None:
    """A format that cannot read back what it writes reads nothing: `%d/%m` has no year, `%Q` is no directive."""
    sample = datetime(2021, 12, 31, 0, 0)  # noqa: DTZ001 - a local time, as the file has them
    try:
        read = datetime.strptime(sample.strftime(shape), shape)  # noqa: DTZ007 - the same
    except ValueError as error:
        raise entry.wrong(f"not a time format: {error}") from None
    if read.replace(tzinfo=None) != sample:
        raise entry.wrong("not a time format that names year, month and day")


def _template(entry: Entry, names: frozenset[str]) -> Template:
    parts = tuple(_PLACEHOLDER.split(entry.text()))
    for column in parts[1::2]:
        _known_name(entry, column, names)
    return Template(parts)


def _column(entry: Entry, names: frozenset[str]) -> str:
    _known_name(entry, entry.text(), names)
    return entry.text()


def _known_name(entry: Entry, column: str, names: frozenset[str]) -> None:
    if column.startswith("$") and column not in names:
        raise entry.wrong(f"unknown name {column}; known: {', '.join(sorted(names))}")


def _value(entry: Entry, names: frozenset[str]) -> Value:
    if not entry.is_mapping:
        return _template(entry, names)
    if {"lon", "lat"} & entry.fields().keys():
        point = entry.fields({"lon", "lat"}, ("lon", "lat"))
        return Point(_column(point["lon"], names), _column(point["lat"], names))
    fields = entry.fields({"column", "as", "times", "optional"}, ("column",))
    kind = fields["as"].one_of(("text", "integer", "number")) if "as" in fields else "text"
    optional = "optional" in fields and fields["optional"].one_of(("true", "false")) == "true"
    times = _factor(fields["times"], kind) if "times" in fields else None
    return Cell(_column(fields["column"], names), cast("Kind", kind), times, optional)


def _factor(entry: Entry, kind: str) -> Decimal:
    try:
        factor = Decimal(entry.text())
    except InvalidOperation:
        raise entry.wrong("must be a number") from None
    if kind != "number" or not factor.is_finite():
        raise entry.wrong("must be finite and needs `as: number`")
    return factor
