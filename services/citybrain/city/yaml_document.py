"""Own how a YAML file of a profile is read: scalars as they are written, every value with its place.

Called by the readers of city.yaml, calendar.yaml, codes.yaml, departments.yaml, kpis.yaml, and by citybrain.rulebook for rules
and endpoints. Never guesses types (`0501` stays `0501`, `no` stays `no`), never follows aliases, never builds Python objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import yaml

from citybrain.city.literals import Name, read_text
from citybrain.city.mistakes import Misread, Mistake, nearest, quote, unknown
from citybrain.city.text_file import decode, join_surrogates

T = TypeVar("T")
NULLS = ("", "~", "null", "Null", "NULL")
_TAB_OUTSIDE_TEXT = re.compile(r'("(?:[^"\\]|\\.)*")|\t', re.DOTALL)


class Place(NamedTuple):
    """A line and a column, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the file: text (None when nothing is written), a mapping or a list, which are at the place of their key.

    `inset` is how many characters stand before the text itself (a quotation mark), None where escapes or folded lines keep
    its characters from being found again in the file.
    """

    line: int
    field: str
    value: str | dict[str, Node] | list[Node] | None
    column: int = 0
    key: Place | None = None  # where its key begins
    inset: int | None = None
    quoted: bool = False


class Document:
    """One YAML file: its root, None when it cannot be read, and the list that its mistakes are added to."""

    def __init__(self, file: str, data: bytes, mistakes: list[Mistake]) -> None:
        before = len(mistakes)
        self.file = file
        self._mistakes = mistakes
        self._text = decode(file, data, mistakes) or ""
        composed = self._compose(self._text) if len(mistakes) == before else None
        self.root = None if composed is None else self._node(composed, "")

    def wrong(self, node: Node, problem: str, offset: int | None = None) -> None:
        """Note a mistake at the node, or at a character of its text."""
        inside = 0 if offset is None or node.inset is None else node.inset + offset
        self._mistakes.append(Mistake(self.file, node.line, node.field, problem, node.column + inside))

    def wrong_key(self, node: Node, problem: str) -> None:
        """Note a mistake about the key that the node is the value of."""
        line, column = node.key or (node.line, node.column)
        self._mistakes.append(Mistake(self.file, line, node.field, problem, column))

    def fields(self, node: Node | None, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Node]:
        """The mapping's known keys; unknown and missing ones are noted."""
        found = self.entries(node)
        if node is None or not isinstance(node.value, dict):
            return {}
        known = (*required, *optional)
        misspelt = [key for key in found if key not in known]
        for key in misspelt:
            self.wrong_key(found[key], unknown("key", key, known))
        meant = {nearest(key, known) for key in misspelt}
        for key in required:
            if key not in found and key not in meant:
                self._mistakes.append(Mistake(self.file, node.line, _below(node.field, key), "is missing", node.column))
        return {key: value for key, value in found.items() if key in known}

    def entries(self, node: Node | None) -> dict[str, Node]:
        """The mapping with keys of its own, whatever they are."""
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self.wrong(node, "has to be a mapping of keys and values")
            return {}
        return node.value

    def items(self, node: Node | None) -> list[Node]:
        """The list's entries."""
        if node is None:
            return []
        if not isinstance(node.value, list):
            self.wrong(node, "has to be a list")
            return []
        return node.value

    def read(self, node: Node | None, parse: Callable[[str], T], default: T) -> T:
        """The scalar's value as `parse` reads it; the default without a node, and after a mistake."""
        if node is None:
            return default
        if not isinstance(node.value, str):
            self.wrong(node, "is empty" if node.value is None else "has to be a single value")
            return default
        try:
            return parse(join_surrogates(node.value))
        except ValueError as error:
            self.wrong(node, str(error), error.offset if isinstance(error, Misread) else None)
            return default

    def read_each(self, node: Node | None, parse: Callable[[str], T]) -> list[T]:
        """The values of a list of different scalars."""
        found: list[T] = []
        for item in self.items(node):
            before = len(self._mistakes)
            value = self.read(item, parse, None)
            if len(self._mistakes) > before or value is None:
                continue
            if value in found:
                self.wrong(item, "is in the list already")
            else:
                found.append(value)
        return found

    def name(self, node: Node | None) -> Name:
        """`{en, zh}`, both required."""
        parts = self.fields(node, ("en", "zh"))
        return Name(self.read(parts.get("en"), read_text, ""), self.read(parts.get("zh"), read_text, ""))

    def _compose(self, text: str) -> yaml.Node | None:
        if text.lstrip()[:1] in ("{", "["):  # JSON may be indented with tabs, which PyYAML does not take
            text = _TAB_OUTSIDE_TEXT.sub(lambda found: found[1] or " ", text)
        try:
            composed = yaml.compose(text, Loader=_PlainLoader)
        except yaml.reader.ReaderError as error:
            lines = text[: error.position].split("\n")
            self._broken(len(lines), len(lines[-1]) + 1, f"holds a character that YAML forbids (U+{error.character:04X})")
        except yaml.MarkedYAMLError as error:
            self._broken(*_place_of(error))
        except RecursionError:
            self._broken(1, 1, "is nested too deep")
        else:
            if composed is None:
                self._broken(1, 1, "is empty")
            return composed
        return None

    def _broken(self, line: int, column: int, problem: str) -> None:
        self._mistakes.append(Mistake(self.file, line, "", problem, column))

    def _node(self, composed: yaml.Node, field: str, key: Place | None = None) -> Node:
        own = _place(composed.start_mark)
        line, column = key or own
        if isinstance(composed, yaml.MappingNode):
            return Node(line, field, self._mapping(composed, field), column, key)
        if isinstance(composed, yaml.SequenceNode):
            items = [self._node(item, f"{field}[{index}]") for index, item in enumerate(composed.value)]
            return Node(line, field, items, column, key)
        assert isinstance(composed, yaml.ScalarNode)  # noqa: S101 - there is no fourth kind
        quoted = composed.style is not None
        if not quoted and composed.value in NULLS:
            return Node(own.line, field, None, own.column, key)
        return Node(own.line, field, composed.value, own.column, key, self._inset(composed), quoted)

    def _inset(self, composed: yaml.ScalarNode) -> int | None:
        inset = 0 if composed.style is None else 1
        written = self._text[composed.start_mark.index + inset : composed.end_mark.index - inset]
        return inset if written == composed.value else None

    def _mapping(self, composed: yaml.MappingNode, field: str) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for key, value in composed.value:
            place = _place(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                self._mistakes.append(Mistake(self.file, place.line, field, "a key has to be a single word", place.column))
            elif key.value in found:
                self._mistakes.append(Mistake(self.file, place.line, _below(field, key.value), "is there twice", place.column))
            else:
                found[key.value] = self._node(value, _below(field, key.value), place)
        return found


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases, which can make a small file expand without end, and tags, which ask for Python objects."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refused(f"aliases are not read (*{event.anchor})", event)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _refused(f"tags are not read ({tag})", event)
        return super().compose_node(parent, index)


def _refused(problem: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]


def _below(field: str, key: str) -> str:
    key = key if key.isprintable() else quote(key)
    return f"{field}.{key}" if field else key


def _place(mark: yaml.Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _place_of(error: yaml.MarkedYAMLError) -> tuple[int, int, str]:
    """The place to look at, and the problem: an unclosed quotation is looked for where it opens."""
    problem = error.problem or "is not YAML"
    place = _place(error.problem_mark) if error.problem_mark else Place(1, 1)
    if error.context_mark is None or error.context is None:
        return *place, problem
    opened = _place(error.context_mark)
    if error.context.startswith("while scanning"):
        return *opened, f"{problem} {error.context}"
    return *place, f"{problem} {error.context}" + (f" that begins on line {opened.line}" if opened.line != place.line else "")
