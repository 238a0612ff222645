"""Own how one route is read and checked. Called by `read` for each entry of `routes:`. Pure.

What is left out is as users of Alertmanager expect: groups by rule, 30 s, 5 m, 4 h.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from citybrain.city.literals import read_period, read_text
from citybrain.city.mistakes import quote
from citybrain.city.yaml_document import Document, Node
from citybrain.rulebook.model import SEVERITIES, SOURCE_SILENT, Escalation, Route
from citybrain.rulebook.rules import Names
from citybrain.rulebook.words import AREA_LEVELS, RESERVED_LABELS, known, one_of, rather, read_flag, read_stretch

GROUP_BY = ("rule",)
GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL = timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=4)
MATCHED = ("rule", "subject", "severity", "area")  # besides labels
GROUPED = (*MATCHED, "source", *AREA_LEVELS)  # besides labels
_OPTIONAL = ("match", "group_by", "group_wait", "group_interval", "repeat_interval", "continue", "escalate")


def read_route(document: Document, item: Node, names: Names) -> Route:
    """One route."""
    fields = document.fields(item, ("to",), _OPTIONAL)
    group_by = rather("name", (*GROUPED, *names.labels))
    return Route(
        match=_match(document, fields.get("match"), names),
        to=_endpoints(document, fields.get("to"), names),
        group_by=tuple(document.read_each(fields["group_by"], group_by)) if "group_by" in fields else GROUP_BY,
        group_wait=document.read(fields.get("group_wait"), read_stretch, GROUP_WAIT),
        group_interval=document.read(fields.get("group_interval"), read_period, GROUP_INTERVAL),
        repeat_interval=document.read(fields.get("repeat_interval"), read_period, REPEAT_INTERVAL),
        proceed=document.read(fields.get("continue"), read_flag, False),
        escalate=tuple(_escalation(document, one, names) for one in document.items(fields.get("escalate"))),
        file=document.file,
        line=item.line,
    )


def _match(document: Document, node: Node | None, names: Names) -> dict[str, str]:
    def read_name(text: str) -> str:
        if text in AREA_LEVELS:
            raise ValueError(f"write `area` for `{text}`: a code matches all that lies below, too")
        if text in RESERVED_LABELS and text not in MATCHED:
            raise ValueError(f"{text} cannot be matched: there are {', '.join(MATCHED)} and labels")
        return rather("name", (*MATCHED, *names.labels))(text)

    readers: dict[str, Callable[[str], str]] = {
        "rule": known("rule", (*names.rules, SOURCE_SILENT)),
        "severity": one_of("severity", SEVERITIES),
    }
    found: dict[str, str] = {}
    for name, value in document.entries(node).items():
        try:
            read_name(name)
        except ValueError as error:
            document.wrong_key(value, str(error))
        found[name] = document.read(value, readers.get(name, read_text), "")
    return found


def _endpoints(document: Document, node: Node | None, names: Names) -> tuple[str, ...]:
    """Names of endpoints, one at least; with an endpoints.yaml those that are in it."""

    def read(text: str) -> str:
        if names.endpoints is None:
            return read_text(text)
        return known("endpoint", names.endpoints)(text)

    if node is not None and node.value == []:
        document.wrong(node, "has to name an endpoint")
    return tuple(document.read_each(node, read))


def _escalation(document: Document, item: Node, names: Names) -> Escalation:
    fields = document.fields(item, ("after", "to"), ("unless",))
    document.read(fields.get("unless"), _read_unless, "")
    after = document.read(fields.get("after"), read_period, timedelta(minutes=1))
    return Escalation(after, _endpoints(document, fields.get("to"), names))


def _read_unless(text: str) -> str:
    if text != "acknowledged":
        raise ValueError(f"{quote(text)} is not `acknowledged`, the only reason not to escalate")
    return text
