"""Own the texts of alerts with gaps: `{subject} is {avg:.0%} full`. Checked by `rules`, filled by alert. Pure.

A gap holds a name and for figures how to write it: nothing is called, no attribute is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from citybrain.city.literals import read_text
from citybrain.city.mistakes import Misread, nearest, quote
from citybrain.rulebook.model import COLUMNS

WORDS = ("subject", "area", "source", "severity")
FIGURES = tuple(name for name in COLUMNS if name != "previous")
NOTHING = "–"
_PART = re.compile(r"\{\{|\}\}|\{(?P<gap>[^{}]*)\}|[{}]")
_STYLE = re.compile(r"\+?,?(\.[0-9])?[fg%]?")


class _Gap(NamedTuple):
    name: str
    style: str
    begin: int
    end: int


def read_template(text: str, figures: tuple[str, ...] = FIGURES) -> str:
    """The template. Raises Misread for gaps that cannot be filled. `figures` are the columns that it may name."""
    read_text(text)
    for _ in _gaps(text, figures):
        pass
    return text


def columns_of(template: str) -> frozenset[str]:
    """The columns of the window that a checked template names."""
    return frozenset(gap.name for gap in _gaps(template, FIGURES) if gap.name in FIGURES)


def fill(template: str, values: Mapping[str, object]) -> str:
    """The text for people: a checked template with its gaps filled, a dash where there is no value."""
    parts: list[str] = []
    at = 0
    for gap in _gaps(template, FIGURES):
        parts += [_plain(template[at : gap.begin]), _written(values.get(gap.name), gap.style)]
        at = gap.end
    return "".join([*parts, _plain(template[at:])])


def _gaps(text: str, figures: tuple[str, ...]) -> Iterator[_Gap]:
    for found in _PART.finditer(text):
        if found[0] in ("{{", "}}"):
            continue
        if found["gap"] is None:
            raise Misread(f"has a single {found[0]!r}: write {found[0] * 2!r} for the brace itself", found.start())
        name, colon, style = found["gap"].partition(":")
        _check(name, colon + style, figures, found.start() + 1)
        yield _Gap(name, style, found.start(), found.end())


def _check(name: str, style: str, figures: tuple[str, ...], at: int) -> None:
    options = (*WORDS, *figures)
    if name not in options:
        meant = nearest(name, options)
        hint = f", did you mean {meant!r}?" if meant else f": there are {', '.join(options)}"
        raise Misread(f"unknown name {quote(name)}{hint}", at)
    if style and (name in WORDS or not _STYLE.fullmatch(style[1:])):
        what = "a word is written as it is" if name in WORDS else "a figure is written like .0%, .2f or ,.0f"
        raise Misread(f"{quote(style)} is not known: {what}", at + len(name))


def _written(value: object, style: str) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    return format(value, style or ".6g") if isinstance(value, float) else format(value, style)


def _plain(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}")
