"""Cut a streamed body into lines (NDJSON). Called by http. Pure; holds at most one line of the largest size allowed.

A line without any but white space is no line. One that is too long is given as TOO_LONG, its bytes forgotten as they come.
"""

from __future__ import annotations

from collections.abc import Iterator

from citybrain.ingest.strict_json import MAX_ITEM_BYTES

_BLANK = b" \t\r"


class Lines:
    """Feed pieces, take lines; `last` when there are no more pieces."""

    def __init__(self) -> None:
        self._begun = b""  # the part of a line that has arrived
        self._too_long = False

    def feed(self, piece: bytes) -> Iterator[bytes | None]:
        """The lines that ended in the piece; None stands for one that is too long."""
        *ended, rest = piece.split(b"\n")
        for part in ended:
            yield from self._end(part)
        self._keep(rest)

    def last(self) -> Iterator[bytes | None]:
        """The line that no line feed ended, if any."""
        return self._end(b"")

    def _keep(self, part: bytes) -> None:
        if self._too_long or len(self._begun) + len(part) > MAX_ITEM_BYTES + 1:  # + 1: the \r of a \r\n
            self._too_long, self._begun = True, b""
        else:
            self._begun += part

    def _end(self, part: bytes) -> Iterator[bytes | None]:
        self._keep(part)
        line, too_long = self._begun.strip(_BLANK), self._too_long
        self._begun, self._too_long = b"", False
        if too_long:
            yield None
        elif line:
            yield line
