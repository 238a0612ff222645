"""What can go wrong while posting a file. Each text is one clear line, and none ever holds a key.

ReplayError          the file, the map or the options are wrong: nothing to retry
└── MapError         a map is wrong: file, line, field

What the city says, or does not say, is told by citybrain.client.errors; the same command goes on where it stopped.
"""

from __future__ import annotations

from citybrain.errors import CitybrainError


class ReplayError(CitybrainError):
    """The file, the map or the options are wrong."""


class MapError(ReplayError):
    """A map is wrong."""

    def __init__(self, file: str, line: int, field: str, problem: str) -> None:
        super().__init__(f"{file}:{line}: {field}: {problem}" if field else f"{file}:{line}: {problem}")
        self.file, self.line, self.field, self.problem = file, line, field, problem
