"""Own how one test of a rule book is read and checked. Called by `read` for each of `tests:`. Pure; `rules test` runs it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from citybrain.city.literals import read_text
from citybrain.city.mistakes import quote
from citybrain.city.text_file import join_surrogates
from citybrain.city.yaml_document import Document, Node
from citybrain.rulebook.model import SOURCE_SILENT, Expected, RuleTest
from citybrain.rulebook.rules import Names
from citybrain.rulebook.words import known
from citybrain_schemas.envelope import check_event
from citybrain_schemas.instants import format_time, parse_time

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_WORDS = {"true": True, "false": False}


def read_test(document: Document, item: Node, names: Names) -> RuleTest:
    """One test. Its events are as they would be posted, their ids may be left out."""
    fields = document.fields(item, ("rule", "events", "expect"))
    rule = document.read(fields.get("rule"), known("rule", (*names.rules, SOURCE_SILENT)), "")
    events = [_event(document, one, number) for number, one in enumerate(document.items(fields.get("events")))]
    if "events" in fields and fields["events"].value == []:
        document.wrong(fields["events"], "has to hold an event")
    expect = tuple(_expected(document, one) for one in document.items(fields.get("expect")))
    return RuleTest(rule, tuple(events), expect, document.file, item.line)


def _event(document: Document, item: Node, number: int) -> Mapping[str, object]:
    """An event as JSON has it, checked as ingest would check it."""
    if not isinstance(item.value, dict):
        document.wrong(item, "has to be an event: a mapping")
        return {}
    event: dict[str, object] = {"specversion": "1.0", "id": f"event-{number}", "source": "/test"}
    event |= {key: _value(one, typed=key == "data") for key, one in item.value.items()}
    checked = check_event(event)
    for error in checked if isinstance(checked, list) else []:
        place = _below(item, (error.field or "").split("."))
        document.wrong(place, f"{error.field}: {error.detail}" if place is item and error.field else error.detail)
    return event


def _below(node: Node, path: list[str]) -> Node:
    for key in path:
        if not isinstance(node.value, dict) or key not in node.value:
            break
        node = node.value[key]
    return node


def _value(node: Node, *, typed: bool = True) -> object:
    """What JSON would make of it; attributes of the envelope are texts."""
    match node.value:
        case dict() as fields:
            return {key: _value(one) for key, one in fields.items()}
        case list() as items:
            return [_value(one) for one in items]
        case str() as text:
            return _text(text) if node.quoted or not typed else _scalar(text)
        case None:
            return None


def _scalar(text: str) -> object:
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return _WORDS[text] if text in _WORDS else _text(text)


def _text(text: str) -> str:
    try:
        return join_surrogates(text)
    except ValueError:
        return "\ufffd"


def _expected(document: Document, item: Node) -> Expected:
    fields = document.fields(item, ("started_at",), ("subject", "area", "source", "ended_at"))
    scopes = [fields[key] for key in ("subject", "area", "source") if key in fields]
    if isinstance(item.value, dict) and len(scopes) != 1:
        document.wrong(item, "has to name either a subject, an area or a source")
    return Expected(
        document.read(scopes[0], read_text, "") if scopes else "",
        document.read(fields.get("started_at"), _read_tick, None),
        document.read(fields["ended_at"], _read_tick, None)
        if "ended_at" in fields and fields["ended_at"].value is not None
        else None,
    )


def _read_tick(text: str) -> str:
    """A tick in the one form of times."""
    at = parse_time(text)
    if at is None:
        raise ValueError(f"{quote(text)} is not a time with seconds and an offset, like 2026-11-23T08:15:00+08:00")
    if at.second or at.microsecond:
        raise ValueError(f"{quote(text)} is no tick: rules are evaluated on whole minutes")
    return format_time(at)
