"""Own how one rule is read and checked. Called by `read` for each entry of `rules:`. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Literal, get_args

from citybrain.city.literals import Name, read_duration, read_period, read_text
from citybrain.city.yaml_document import Document, Node
from citybrain.rulebook.expression import compile_condition
from citybrain.rulebook.model import SEVERITIES, Absence, Condition, Inhibition, NoData, Per, Threshold
from citybrain.rulebook.template import FIGURES, read_template
from citybrain.rulebook.words import (
    AREA_LEVELS,
    RESERVED_LABELS,
    known,
    one_of,
    read_flag,
    read_label_name,
    read_rule_name,
    read_stretch,
    read_window,
)
from citybrain_schemas.events import EVENT_TYPES
from citybrain_schemas.metrics import METRICS

Kind = Literal["threshold", "change", "absence"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LEVELS: tuple[Per, ...] = get_args(Per)
NO_DATA: tuple[NoData, ...] = get_args(NoData)
MOST_LABELS = 32
LATER_KINDS = ("baseline", "deadline", "correlation")
LATER_KEYS = ("opens_case", "recheck", "between", "deviates", "direction", "at", "at_least", "within")
_SHARED = ("title", "kind", "per", "severity", "labels", "annotations", "lateness", "inhibits", "renamed_from")
_OF_THRESHOLD = ("metric", "window", "when", "clear", "no_data", "tumbling", "early", "for", "keep_firing_for")
_OF_ABSENCE = ("of", "longer_than")
_SENSOR_TYPES = tuple(name for name, one in EVENT_TYPES.items() if one.sensor)
_PLACEHOLDER = compile_condition("count > 0")  # stands for a condition that could not be read; the book is refused anyway
Fields = Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Names:
    """What the files of a book name, known before any of them is read; `endpoints` is None when nothing is known of them."""

    rules: Collection[str]
    labels: Collection[str]
    endpoints: Collection[str] | None


def read_rule(document: Document, item: Node, names: Names) -> Threshold | Absence | None:
    """One rule; None, and a mistake more, when it is of no kind that this version evaluates."""
    if not isinstance(item.value, dict):
        document.fields(item, ())
        return None
    kind = _kind(document, item.value.get("kind"))
    if kind is None:
        return None
    own, other = (_OF_ABSENCE, _OF_THRESHOLD) if kind == "absence" else (_OF_THRESHOLD, _OF_ABSENCE)
    required = ("rule", *own) if kind == "absence" else ("rule", "metric", "per", "window", "when")
    fields = document.fields(item, required, (*own, *_SHARED, *other, *LATER_KEYS))
    for key in LATER_KEYS:
        if key in fields:
            document.wrong_key(fields[key], "is not evaluated by this version yet")
    for key in other:
        if key in fields:
            document.wrong_key(fields[key], f"does not belong to a rule of kind {kind}")
    return _absence(document, item, fields, names) if kind == "absence" else _threshold(document, item, fields, names, kind)


def _kind(document: Document, node: Node | None) -> Kind | None:
    def read(text: str) -> Kind:
        if text in LATER_KINDS:
            raise ValueError(f"rules of kind {text} are not evaluated by this version yet")
        return one_of("kind", KINDS)(text)

    return "threshold" if node is None else document.read(node, read, None)


def _shared(document: Document, item: Node, fields: Fields, names: Names) -> dict[str, Any]:
    """What rules of all kinds have, by the names of the model."""
    name = document.read(fields.get("rule"), read_rule_name, "")
    figures = () if "of" in fields else FIGURES
    return {
        "name": name,
        "title": document.name(fields["title"]) if "title" in fields else Name(name, name),
        "severity": document.read(fields.get("severity"), one_of("severity", SEVERITIES), "warning"),
        "labels": _labels(document, fields.get("labels")),
        "annotations": _annotations(document, fields.get("annotations"), figures),
        "lateness": document.read(fields.get("lateness"), read_duration, None),
        "inhibits": tuple(_inhibition(document, one, name, names) for one in document.items(fields.get("inhibits"))),
        "renamed_from": _renamed_from(document, fields.get("renamed_from"), names),
        "file": document.file,
        "line": item.line,
    }


def _threshold(document: Document, item: Node, fields: Fields, names: Names, kind: Kind) -> Threshold:
    hold = document.read(fields.get("for"), read_stretch, timedelta())
    tumbling = document.read(fields.get("tumbling"), read_flag, False)
    when = document.read(fields.get("when"), compile_condition, _PLACEHOLDER)
    if kind == "change" and "when" in fields and when is not _PLACEHOLDER and not when.previous_of:
        document.wrong(fields["when"], "does not name `previous`, as a rule of kind change has to")
    clear: Condition | None = document.read(fields.get("clear"), compile_condition, None)
    early = document.read(fields.get("early"), read_flag, not hold and not tumbling)
    if early and tumbling:
        document.wrong(fields["early"], "a tumbling window is looked at when it is over, never early")
    return Threshold(
        per=document.read(fields.get("per"), one_of("per", LEVELS), "subject"),
        hold=hold,
        keep_firing_for=document.read(fields.get("keep_firing_for"), read_stretch, timedelta()),
        early=early,
        metric=document.read(fields.get("metric"), known("metric", METRICS), ""),
        window=document.read(fields.get("window"), read_window, timedelta(minutes=1)),
        tumbling=tumbling,
        when=when,
        clear=clear,
        no_data=document.read(fields.get("no_data"), one_of("no_data", NO_DATA), "keep"),
        **_shared(document, item, fields, names),
    )


def _absence(document: Document, item: Node, fields: Fields, names: Names) -> Absence:
    per = document.read(fields.get("per"), one_of("per", LEVELS), "subject")
    if per != "subject":
        document.wrong(fields["per"], "an absence is of a subject")
    return Absence(
        per="subject",
        hold=timedelta(),
        keep_firing_for=timedelta(),
        early=False,
        of=document.read(fields.get("of"), _read_sensor_type, ""),
        longer_than=document.read(fields.get("longer_than"), read_period, timedelta(minutes=1)),
        **_shared(document, item, fields, names),
    )


def _read_sensor_type(text: str) -> str:
    if text in EVENT_TYPES and text not in _SENSOR_TYPES:
        raise ValueError(f"{text} has no assets that could fall silent: there are {', '.join(_SENSOR_TYPES)}")
    return known("event type", _SENSOR_TYPES)(text)


def _labels(document: Document, node: Node | None) -> dict[str, str]:
    entries = document.entries(node)
    if node is not None and len(entries) > MOST_LABELS:
        document.wrong(node, f"has more than {MOST_LABELS} labels")
    found: dict[str, str] = {}
    for name, value in entries.items():
        try:
            read_label_name(name)
        except ValueError as error:
            document.wrong_key(value, str(error))
        if name in RESERVED_LABELS:
            document.wrong_key(value, f"{name!r} is what an alert has of itself: call the label otherwise")
        found[name] = document.read(value, read_text, "")
    return found


def _annotations(document: Document, node: Node | None, figures: tuple[str, ...]) -> dict[str, str]:
    if node is None:
        return {}
    read = partial(read_template, figures=figures)
    return {language: document.read(one, read, "") for language, one in document.fields(node, (), ("en", "zh")).items()}


def _inhibition(document: Document, item: Node, name: str, names: Names) -> Inhibition:
    fields = document.fields(item, ("rule", "same"))
    rule = document.read(fields.get("rule"), known("rule", names.rules), "")
    if rule and rule == name:
        document.wrong(fields["rule"], "a rule does not inhibit itself")
    same = document.read_each(fields.get("same"), known("level or label", (*AREA_LEVELS, "subject", *names.labels)))
    if "same" in fields and fields["same"].value == []:
        document.wrong(fields["same"], "has to name a level, subject or a label")
    return Inhibition(rule, tuple(same))


def _renamed_from(document: Document, node: Node | None, names: Names) -> str | None:
    def read(text: str) -> str:
        if text in names.rules:
            raise ValueError(f"there still is a rule {text!r}")
        return read_rule_name(text)

    return document.read(node, read, None)
