"""YAML whose parts know their lines. Called by csv_map. Never interprets a scalar: `0501`, `no` and `08:00` stay texts."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Self

import yaml

from citybrain.replay.errors import MapError


class Entry:
    """One value of a YAML file: its field path, its line, and readers that refuse what does not fit."""

    def __init__(self, file: str, field: str, node: yaml.Node) -> None:
        self.file, self.field, self._node = file, field, node

    @classmethod
    def parse(cls, file: str, text: str) -> Self:
        """The root of the document; a syntax error or an alias is a MapError."""
        try:
            if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
                raise MapError(file, 1, "", "aliases are not allowed")
            root = yaml.compose(text, yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise MapError(file, line, "", error.problem or "not YAML") from error
        except yaml.YAMLError as error:
            raise MapError(file, 1, "", "not YAML: " + str(error).splitlines()[0]) from error
        if root is None:
            raise MapError(file, 1, "", "is empty")
        return cls(file, "", root)

    @property
    def line(self) -> int:
        """The line of the value, from 1."""
        return int(self._node.start_mark.line) + 1

    def wrong(self, problem: str) -> MapError:
        """The error to raise about this value."""
        return MapError(self.file, self.line, self.field, problem)

    @property
    def is_mapping(self) -> bool:
        """Whether the value has fields of its own."""
        return isinstance(self._node, yaml.MappingNode)

    def text(self) -> str:
        """The scalar as it is written."""
        if not isinstance(self._node, yaml.ScalarNode):
            raise self.wrong("must be one text")
        return str(self._node.value)

    def one_of(self, words: Collection[str]) -> str:
        """The scalar, which has to be one of `words`."""
        word = self.text()
        if word not in words:
            raise self.wrong(f"{word!r} is not one of {', '.join(words)}{_hint(word, words)}")
        return word

    def items(self) -> list[Entry]:
        """The entries of a list; a single scalar is a list of one."""
        if isinstance(self._node, yaml.ScalarNode):
            return [self]
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.wrong("must be a list")
        return [Entry(self.file, f"{self.field}[{n}]", node) for n, node in enumerate(self._node.value)]

    def fields(self, known: Collection[str] = (), required: Collection[str] = ()) -> dict[str, Entry]:
        """The fields of a mapping in file order. With `known`, any other name is refused with the nearest one."""
        if not isinstance(self._node, yaml.MappingNode):
            raise self.wrong("must be a mapping")
        found: dict[str, Entry] = {}
        for key, node in self._node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else str(key.value)
            path = f"{self.field}.{name}" if self.field else name
            if name in found:
                raise MapError(self.file, key.start_mark.line + 1, path, "is there twice")
            if known and name not in known:
                raise MapError(self.file, key.start_mark.line + 1, path, f"unknown field{_hint(name, known)}")
            found[name] = Entry(self.file, path, node)
        for name in required:
            if name not in found:
                raise MapError(self.file, self.line, f"{self.field}.{name}" if self.field else name, "is missing")
        return found


def _hint(word: str, words: Collection[str]) -> str:
    near = get_close_matches(word, words, n=1)
    return f", did you mean {near[0]!r}?" if near else ""
