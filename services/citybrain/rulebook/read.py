"""Own how a rule book is read: all its files together, every mistake with file, line and column. Called by citybrain.profiles and
`rules check`. Pure: reads no folder, knows no database.

`rule_book` raises ProfileError; `read_rule_book` notes mistakes in a list, for callers that have more to check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from citybrain.city.mistakes import Mistake, ProfileError
from citybrain.city.yaml_document import Document, Node
from citybrain.rulebook.examples import read_test
from citybrain.rulebook.model import Absence, Route, RuleBook, RuleTest, Threshold
from citybrain.rulebook.routes import read_route
from citybrain.rulebook.rules import Names, read_rule

SECTIONS = ("rules", "routes", "tests")


def rule_book(files: Mapping[str, bytes], endpoints: Collection[str] | None = None) -> RuleBook:
    """The book. Raises ProfileError with every mistake that is in it."""
    mistakes: list[Mistake] = []
    book = read_rule_book(files, mistakes, endpoints)
    if mistakes:
        raise ProfileError(mistakes)
    return book


def read_rule_book(files: Mapping[str, bytes], mistakes: list[Mistake], endpoints: Collection[str] | None = None) -> RuleBook:
    """The book that the files make, by their names' order; not to be used when it has added mistakes.

    With `endpoints`, the names of those that there are, routes may name no others.
    """
    documents = [Document(name, files[name], mistakes) for name in sorted(files)]
    parts = [document.fields(document.root, (), SECTIONS) for document in documents]
    names = _names(parts, endpoints)
    rules: list[Threshold | Absence] = []
    routes: list[Route] = []
    tests: list[RuleTest] = []
    for document, sections in zip(documents, parts, strict=True):
        items = {name: document.items(sections.get(name)) for name in SECTIONS}
        _refuse_twins(document, items["rules"], rules)
        rules += filter(None, [read_rule(document, item, names) for item in items["rules"]])
        routes += [read_route(document, item, names) for item in items["routes"]]
        tests += [read_test(document, item, names) for item in items["tests"]]
    _refuse_same_origin(rules, mistakes)
    return RuleBook(tuple(rules), tuple(routes), tuple(tests), {name: _text(files[name]) for name in sorted(files)})


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig", "replace")


def _names(parts: list[dict[str, Node]], endpoints: Collection[str] | None) -> Names:
    """What is named anywhere, for the references that are read after."""
    rules = [one for sections in parts for one in _mappings(sections.get("rules"))]
    names = [one["rule"].value for one in rules if "rule" in one]
    labels = [name for one in rules if "labels" in one and isinstance(one["labels"].value, dict) for name in one["labels"].value]
    return Names(tuple(dict.fromkeys(name for name in names if isinstance(name, str))), tuple(dict.fromkeys(labels)), endpoints)


def _mappings(node: Node | None) -> Iterator[dict[str, Node]]:
    for item in node.value if node is not None and isinstance(node.value, list) else ():
        if isinstance(item.value, dict):
            yield item.value


def _refuse_twins(document: Document, items: list[Node], before: list[Threshold | Absence]) -> None:
    """A name is of one rule, over all files."""
    places = {one.name: f"{one.file}:{one.line}" for one in before}
    for item in items:
        node = item.value.get("rule") if isinstance(item.value, dict) else None
        if node is None or not isinstance(node.value, str):
            continue
        if node.value in places:
            document.wrong(node, f"there is a rule {node.value!r} already ({places[node.value]})")
        places.setdefault(node.value, f"{document.file}:{item.line}")


def _refuse_same_origin(rules: list[Threshold | Absence], mistakes: list[Mistake]) -> None:
    """What was one rule is not carried over to two."""
    origins = Counter(one.renamed_from for one in rules if one.renamed_from is not None)
    for one in rules:
        if one.renamed_from is not None and origins[one.renamed_from] > 1:
            problem = f"another rule was {one.renamed_from!r}, too"
            mistakes.append(Mistake(one.file, one.line, f"{one.name}.renamed_from", problem))
