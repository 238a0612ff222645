"""Read a file as records in file order, a piece at a time. Called by run and demo. Never holds the whole file, never posts."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self, cast

import msgspec

from citybrain.replay.csv_map import CsvMap
from citybrain.replay.errors import ReplayError
from citybrain.replay.rows import Problem, Record, RowReader

MAX_LINE_BYTES = 16 * 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"


class _Times(msgspec.Struct):
    """What an NDJSON line says about its time."""

    time: str


class RecordFile:
    """A file of events, one JSON object a line, or a CSV file with its map; gzip is recognised by its first bytes.

    Iterating gives a Record for each event and a Problem for each row that makes none. Blank lines are passed over. With
    `timed` the records of NDJSON carry their times; without, lines are not even parsed: the city judges them.
    Raises ReplayError when the file is missing, broken, or not what the map says.
    """

    def __init__(self, path: Path, csv_map: CsvMap | None = None, timed: bool = False) -> None:
        self._path, self._map, self._timed = path, csv_map, timed
        self._closing = ExitStack()
        self.size_bytes = 0

    def __enter__(self) -> Self:
        try:
            self._raw = self._closing.enter_context(self._path.open("rb"))
            self.size_bytes = self._path.stat().st_size
            zipped = self._raw.peek(2)[:2] == GZIP_MAGIC
        except OSError as error:
            raise ReplayError(f"cannot read {self._path}: {error.strerror or error}") from error
        plain = self._closing.enter_context(gzip.GzipFile(fileobj=self._raw)) if zipped else self._raw
        self._plain = cast("BinaryIO", plain)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @property
    def position_bytes(self) -> int:
        """How much of the file, compressed as it is, was read."""
        return self._raw.tell()

    def __iter__(self) -> Iterator[Record | Problem]:
        try:
            yield from self._rows(self._map) if self._map else self._lines()
        except (OSError, EOFError, zlib.error) as error:
            raise ReplayError(f"cannot read {self._path}: {error}") from error
        except UnicodeDecodeError as error:
            raise ReplayError(f"cannot read {self._path}: not {error.encoding} at byte {error.start} of a block") from error

    def _lines(self) -> Iterator[Record]:
        number = 0
        while line := self._plain.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise ReplayError(f"{self._path}:{number}: a line of more than {MAX_LINE_BYTES // 2**20} MiB")
            text = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
            if number == 1 and text.startswith(b"["):
                raise ReplayError(f"{self._path}:1: a JSON array; replay reads one event a line")
            if text:
                yield Record(number, _time_of(text) if self._timed else None, text)

    def _rows(self, csv_map: CsvMap) -> Iterator[Record | Problem]:
        text = io.TextIOWrapper(self._plain, csv_map.encoding, newline="")
        lines = csv.reader(text, delimiter=csv_map.delimiter)
        try:
            reader = RowReader(csv_map, [name.strip() for name in next(lines, [])], str(self._path))
            begins = lines.line_num + 1
            for cells in lines:
                if cells:
                    yield from reader.read(begins, cells)
                begins = lines.line_num + 1
        except csv.Error as error:
            raise ReplayError(f"{self._path}:{lines.line_num}: {error}") from error
        finally:
            text.detach()


def _time_of(line: bytes) -> datetime | None:
    """The event's time; None when it has no readable one with an offset: then the line goes out as it is and is refused."""
    try:
        at = datetime.fromisoformat(msgspec.json.decode(line, type=_Times).time)
    except ValueError:
        return None
    return at if at.tzinfo else None
