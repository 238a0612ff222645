"""Own what a mistake in a profile file is and how it is told. Used by every reader of this package; the roles only catch
ProfileError. Never reads a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from citybrain.errors import CitybrainError

LONGEST_QUOTE = 80


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something in a profile that has to be corrected: `city.yaml:3:11: timezone: unknown time zone 'Mars/Phobos'`.

    `line` counts from 1 and is 0 when the file as a whole is meant; `field` is empty when no field is to blame; `column`
    counts characters from 1 and is 0 where it is not known.
    """

    file: str
    line: int
    field: str
    problem: str
    column: int = 0

    def __str__(self) -> str:
        where = ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)])
        return ": ".join(part for part in (where, self.field, self.problem) if part)


class Misread(ValueError):
    """A text that cannot be read, and the character, from 0, that is to blame."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(problem)
        self.offset = offset


class ProfileError(CitybrainError):
    """The city profile is wrong; `mistakes` lists everything that was found, in the order of the files' lines."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda one: (one.file, one.line, one.column, one.field, one.problem)))
        more = len(self.mistakes) - 1
        super().__init__(f"{self.mistakes[0]} (and {more} more)" if more else str(self.mistakes[0]))


def nearest(word: str, options: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The option that a misspelt word most likely meant, if there is one."""
    found = get_close_matches(word, list(options), 1, cutoff)
    return found[0] if found else None


def quote(text: str) -> str:
    """The text as a message may hold it: on one line and not too long."""
    return repr(text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "…")


def unknown(what: str, word: str, options: Iterable[str]) -> str:
    """`unknown level 'stret', did you mean 'street'?`."""
    meant = nearest(word, options)
    return f"unknown {what} {quote(word)}" + (f", did you mean {meant!r}?" if meant else "")
