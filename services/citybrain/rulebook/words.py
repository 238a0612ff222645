"""Own the small words of a rule book: names, windows, flags, one of several. Called by the readers of this package with text as
it is written in the file; each raises ValueError, whose text is the problem. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import TypeVar

from citybrain.city.literals import read_duration
from citybrain.city.mistakes import nearest, quote, unknown
from citybrain.rulebook.model import SOURCE_SILENT

T = TypeVar("T", bound=str)
AREA_LEVELS = ("grid", "community", "street", "district", "city")
LONGEST_NAME = 64
LONGEST_WINDOW = timedelta(days=1)
MINUTE = timedelta(minutes=1)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED_LABELS = frozenset({"rule", "subject", "severity", "area", "source", "state", *AREA_LEVELS})


def one_of(what: str, options: Sequence[T]) -> Callable[[str], T]:
    """A reader of one of a few words; the nearest one is named when it is another."""

    def read(text: str) -> T:
        for option in options:
            if option == text:
                return option
        hint = "" if nearest(text, options) else f": there are {', '.join(options)}"
        raise ValueError(unknown(what, text, options) + hint)

    return read


def known(what: str, options: Collection[str]) -> Callable[[str], str]:
    """A reader of a name that has to be among many."""

    def read(text: str) -> str:
        if text not in options:
            raise ValueError(unknown(what, text, options))
        return text

    return read


def rather(what: str, options: Collection[str]) -> Callable[[str], str]:
    """A reader of a label's name: any, unless it looks like one that there is, misspelt."""

    def read(text: str) -> str:
        if text not in options and nearest(text, options, 0.75):
            raise ValueError(unknown(what, text, options))
        return read_label_name(text) if text not in options else text

    return read


def read_rule_name(text: str) -> str:
    """Letters, digits, `.`, `_`, `-`, at most 64, and not the name of the alert that is built in."""
    if len(text) > LONGEST_NAME or not _NAME.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a name of 1 to {LONGEST_NAME} letters, digits, '.', '_' or '-'")
    if text == SOURCE_SILENT:
        raise ValueError(f"{SOURCE_SILENT!r} is the name of the built-in alert: choose another one")
    return text


def read_label_name(text: str) -> str:
    """Letters, digits and `_`, at most 64."""
    if len(text) > LONGEST_NAME or not _LABEL.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a label's name of 1 to {LONGEST_NAME} letters, digits or '_'")
    return text


def read_window(text: str) -> timedelta:
    """A duration of whole minutes, from one to a day."""
    length = read_duration(text)
    if length % MINUTE or not MINUTE <= length <= LONGEST_WINDOW:
        raise ValueError(f"{quote(text)} is not a window of whole minutes from 1m to 1d")
    return length


def read_stretch(text: str) -> timedelta:
    """A duration; zero may be written as `0`."""
    return timedelta() if text == "0" else read_duration(text)


def read_flag(text: str) -> bool:
    """`true` or `false`."""
    if text not in ("true", "false"):
        raise ValueError(f"{quote(text)} is neither true nor false")
    return text == "true"
