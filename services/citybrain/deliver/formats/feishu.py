"""Feishu's group robot: a post, whose lines are plain texts and links; `code` of its answer says whether it took it. Pure."""

from __future__ import annotations

import json

from citybrain.deliver.formats.message import Message
from citybrain.deliver.formats.wecom import refusal

MAX_ENTRIES = 20  # keeps a message within 20 KB


def render(message: Message) -> bytes:
    """The robot's message."""
    lines: list[list[dict[str, str]]] = []
    for entry in message.entries[:MAX_ENTRIES]:
        lines.append([{"tag": "text", "text": entry.headline}])
        lines += [[{"tag": "text", "text": f"{name}: {text}"}] for name, text in entry.facts]
        if entry.link is not None:
            lines.append([{"tag": "a", "text": entry.link[0], "href": entry.link[1]}])
    left_out = max(0, len(message.entries) - MAX_ENTRIES)
    if message.more + left_out:
        lines.append([{"tag": "text", "text": message.more_text(left_out)}])
    post = {"zh_cn": {"title": message.kind, "content": lines}}
    return json.dumps({"msg_type": "post", "content": {"post": post}}, ensure_ascii=False).encode()


def why_refused(answer: bytes) -> str | None:
    """Why an answer was a refusal."""
    return refusal(answer, "code", "msg")
