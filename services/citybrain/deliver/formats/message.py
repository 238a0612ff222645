"""What people read of a webhook, in their language: one headline, and a few facts of each alert. Called by the robots' formats.

Texts that come from outside lose what a robot could take for a mark of its own (links, mentions). Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "alert.firing": "Alert", "alert.updated": "Still firing", "alert.resolved": "Resolved", "alert.escalated": "Escalated",
        "endpoint.test": "Test message", "info": "info", "warning": "warning", "major": "major", "critical": "critical",
        "rule": "Rule", "place": "Place", "value": "Value", "since": "Since", "ended": "Ended", "open": "Open", "more": "{} more",
        "test": "citybrain can reach this receiver.", "retracted": "withdrawn: late readings have corrected it",
    },
    "zh": {
        "alert.firing": "告警", "alert.updated": "仍在告警", "alert.resolved": "已恢复", "alert.escalated": "告警升级",
        "endpoint.test": "测试消息", "info": "提示", "warning": "一般", "major": "重要", "critical": "紧急",
        "rule": "规则", "place": "位置", "value": "数值", "since": "开始", "ended": "结束", "open": "查看", "more": "另有 {} 条",
        "test": "citybrain 可以送达此接收端。", "retracted": "已撤回:迟到的数据更正了它",
    },
}  # fmt: skip
_MARKS = str.maketrans({
    "<": "‹", ">": "›", "[": "(", "]": ")", "*": "·", "`": "'", "\r": " ", "\n": " ", "\t": " ",
})  # fmt: skip
_MAX_TEXT_CHARS = 300


@dataclass(frozen=True, slots=True)
class Entry:
    """One alert: a headline, (name, text) facts, and where to look at it."""

    headline: str
    facts: tuple[tuple[str, str], ...]
    link: tuple[str, str] | None  # its text and its URL


@dataclass(frozen=True, slots=True)
class Message:
    """`kind` says what happened in a word, `title` in a line. `more` counts alerts that are not among the entries; `words` are
    those of the reader's language."""

    kind: str
    title: str
    entries: tuple[Entry, ...]
    more: int
    words: Mapping[str, str]

    def more_text(self, left_out: int) -> str:
        """A line that says how many alerts are not shown."""
        return self.words["more"].format(self.more + left_out)


def read_message(body: bytes, language: str) -> Message:
    """What a body says. Raises ValueError when it is no webhook of ours."""
    words = _WORDS.get(language, _WORDS["zh"])
    document = json.loads(body)
    data = document.get("data") if isinstance(document, dict) else None
    kind = document.get("type") if isinstance(document, dict) else None
    if not isinstance(data, dict) or not isinstance(kind, str) or kind not in words:
        raise ValueError("the stored body is no webhook of citybrain")
    if kind == "endpoint.test":
        return Message(words[kind], words[kind], (Entry(words["test"], (), None),), 0, words)
    alerts = [one for one in data.get("alerts") or [data.get("alert")] if isinstance(one, dict)]
    entries = tuple(_entry(one, words, language) for one in alerts)
    more = data.get("truncated")
    title = f"{words[kind]}: {entries[0].headline}" if entries else words[kind]
    return Message(words[kind], title, entries, more if isinstance(more, int) and not isinstance(more, bool) else 0, words)


def _entry(alert: dict[str, Any], words: Mapping[str, str], language: str) -> Entry:
    rule, severity = str(alert.get("rule", "")), str(alert.get("severity", ""))
    title, told = _in(language, alert.get("title")), _in(language, alert.get("summary"))
    told = told if not title or title in told else f"{title}: {told}" if told else title
    area = alert.get("area")
    code = area.get("code") if isinstance(area, dict) else None
    place = " ".join(str(one) for one in (alert.get("subject"), code) if one)
    value = alert.get("value")
    figures = ", ".join(f"{name} {figure}" for name, figure in value.items()) if isinstance(value, dict) else ""
    facts = [("rule", rule), ("place", place), ("value", figures), ("since", _time(alert.get("started_at")))]
    facts.append(("ended", _time(alert.get("ended_at"))))
    if alert.get("state") == "retracted":
        told = f"{told or rule} ({words['retracted']})"
    return Entry(
        f"【{words.get(severity, plain(severity))}】{plain(told or rule)}",
        tuple((words[name], plain(text)) for name, text in facts if text),
        _link(alert, words),
    )


def _in(language: str, text: object) -> str:
    """A text of {en, zh} in a language, else in one that there is."""
    return str(text.get(language) or text.get("en") or text.get("zh") or "") if isinstance(text, dict) else ""


def _link(alert: dict[str, Any], words: Mapping[str, str]) -> tuple[str, str] | None:
    links = alert.get("links")
    url = (links.get("console") or links.get("self")) if isinstance(links, dict) else None
    return (words["open"], url) if isinstance(url, str) and url.startswith(("https://", "http://")) else None


def _time(text: object) -> str:
    """`2026-11-23T00:15:07.000000Z` as people write it."""
    return f"{text[:10]} {text[11:16]} UTC" if isinstance(text, str) and text.endswith("Z") and len(text) >= 17 else ""


def plain(text: object) -> str:
    """A text from outside, on one line, without marks."""
    return str(text).translate(_MARKS)[:_MAX_TEXT_CHARS]


def markdown(message: Message, max_bytes: int, line_end: str) -> str:
    """The message as the small Markdown that WeCom and DingTalk read, at most `max_bytes` long in UTF-8."""
    lines = [f"### {message.kind}"]
    for n, entry in enumerate(message.entries):
        part = [f"**{entry.headline}**", *(f"> {name}: {text}" for name, text in entry.facts)]
        if entry.link is not None:
            part.append(f"[{entry.link[0]}]({entry.link[1]})")
        left_out = len(message.entries) - n
        note = [message.more_text(left_out - 1)] if message.more + left_out > 1 else []
        if len(line_end.join([*lines, *part, *note]).encode()) > max_bytes:
            return _cut(line_end.join([*lines, message.more_text(left_out)]), max_bytes)
        lines += part
    if message.more:
        lines.append(message.more_text(0))
    return _cut(line_end.join(lines), max_bytes)


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode("utf-8", "ignore")
