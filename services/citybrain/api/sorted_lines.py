"""Sort more lines than fit into memory. Called by state. Bytewise; files are temporary and nameless."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator
from typing import IO

RUN_LINES = 200_000


class SortedLines:
    """Lines go in one by one, without line feeds, and come out sorted. Close it at the end."""

    def __init__(self, run_lines: int = RUN_LINES) -> None:
        self._run_lines = run_lines
        self._waiting: list[bytes] = []
        self._runs: list[IO[bytes]] = []

    def add(self, line: str) -> None:
        """One more."""
        self._waiting.append(line.encode() + b"\n")
        if len(self._waiting) >= self._run_lines:
            self._spill()

    def _spill(self) -> None:
        run = tempfile.TemporaryFile(prefix="citybrain-dump-")  # noqa: SIM115 - closed by close()
        self._runs.append(run)
        run.writelines(sorted(self._waiting))
        run.seek(0)
        self._waiting.clear()

    def __iter__(self) -> Iterator[str]:
        for line in heapq.merge(*self._runs, sorted(self._waiting)):
            yield line[:-1].decode()

    def close(self) -> None:
        """Give the disk back."""
        for run in self._runs:
            run.close()
