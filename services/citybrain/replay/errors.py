"""What can go wrong while posting a file. Each text is one clear line, and none ever holds a key.

ReplayError          the file, the map, the options or the address are wrong: nothing to retry
├── MapError         a map is wrong: file, line, field
└── PostRefused      the city refuses these posts: a wrong key, a body too large
CityUnreachable      the city did not answer for too long (retryable: the same command goes on where it stopped)
"""

from __future__ import annotations

from citybrain.errors import CitybrainError, Unavailable


class ReplayError(CitybrainError):
    """The file, the map, the options or the address are wrong."""


class MapError(ReplayError):
    """A map is wrong."""

    def __init__(self, file: str, line: int, field: str, problem: str) -> None:
        super().__init__(f"{file}:{line}: {field}: {problem}" if field else f"{file}:{line}: {problem}")
        self.file, self.line, self.field, self.problem = file, line, field, problem


class PostRefused(ReplayError):
    """The city refuses what is posted, and would refuse it again."""


class CityUnreachable(Unavailable):
    """The city did not answer for too long."""
