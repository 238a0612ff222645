"""Own a JSON text together with the lines that its values are on. Called by area_file. Pure.

The text is parsed by the fast standard decoder; lines are looked for only when a mistake has to be told.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property

Path = tuple[str | int, ...]


class JsonTextError(ValueError):
    """The text is not JSON; `line` tells where."""

    def __init__(self, line: int, problem: str) -> None:
        self.line = line
        super().__init__(problem)


class JsonText:
    """A JSON text; `value` is what it says. Raises JsonTextError when it is not JSON."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._repeats = False
        self._decoder = json.JSONDecoder()
        self._children_at: dict[int, list[tuple[str | int, int]]] = {}
        try:
            self.value: object = json.JSONDecoder(object_pairs_hook=self._object).decode(text)
        except json.JSONDecodeError as error:
            raise JsonTextError(error.lineno, f"is not JSON: {error.msg} (column {error.colno})") from None
        except RecursionError:
            raise JsonTextError(1, "is nested too deep") from None
        except ValueError:  # an integer of more digits than Python converts
            raise JsonTextError(1, "holds a number of too many digits") from None

    def line_of(self, path: Path) -> int:
        """The line on which the value at the path begins; of what encloses it, where the path leads nowhere."""
        offset = self._skip_space(0)
        for step in path:
            found = [start for key, start in self._children(offset) if key == step]
            if not found:
                break
            offset = found[-1]
        return self._line(offset)

    def repeated_keys(self) -> list[tuple[int, str]]:
        """Line and name of every key that its object holds already."""
        return list(self._repeated(self._skip_space(0))) if self._repeats else []

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        self._repeats = self._repeats or len(found) < len(pairs)
        return found

    def _repeated(self, offset: int) -> Iterator[tuple[int, str]]:
        seen: set[str] = set()
        for key, start in self._children(offset):
            if isinstance(key, str):
                if key in seen:
                    yield self._line(start), key
                seen.add(key)
            yield from self._repeated(start)

    def _children(self, offset: int) -> list[tuple[str | int, int]]:
        """Key or index, and beginning, of each value in the object or array that begins at the offset."""
        if offset not in self._children_at:
            self._children_at[offset] = list(self._scan(offset))
        return self._children_at[offset]

    def _scan(self, offset: int) -> Iterator[tuple[str | int, int]]:
        opening = self._text[offset]
        if opening not in "{[":
            return
        index, offset = 0, self._skip_space(offset + 1)
        while self._text[offset] not in "}]":
            key: str | int = index
            if opening == "{":
                key, offset = self._decoder.raw_decode(self._text, offset)
                offset = self._skip_space(self._skip_space(offset) + 1)  # the colon
            yield key, offset
            _, offset = self._decoder.raw_decode(self._text, offset)
            offset = self._skip_space(offset)
            if self._text[offset] == ",":
                offset = self._skip_space(offset + 1)
            index += 1

    def _skip_space(self, offset: int) -> int:
        while self._text[offset] in " \t\n\r":
            offset += 1
        return offset

    def _line(self, offset: int) -> int:
        return bisect_right(self._line_starts, offset)

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        while (found := self._text.find("\n", starts[-1])) >= 0:
            starts.append(found + 1)
        return starts
