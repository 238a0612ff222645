"""WeCom's group robot: a Markdown message of at most 4,096 bytes; `errcode` of its answer says whether it took it. Pure."""

from __future__ import annotations

import json

from citybrain.deliver.formats.message import Message, markdown

MAX_BYTES = 4096


def render(message: Message) -> bytes:
    """The robot's message."""
    document = {"msgtype": "markdown", "markdown": {"content": markdown(message, MAX_BYTES, "\n")}}
    return json.dumps(document, ensure_ascii=False).encode()


def why_refused(answer: bytes) -> str | None:
    """DingTalk's robot answers in the same way."""
    return refusal(answer, "errcode", "errmsg")


def refusal(answer: bytes, code_name: str, text_name: str) -> str | None:
    """Why an answer whose code is not 0 was a refusal; an answer without a code is one, too."""
    try:
        found = json.loads(answer)
    except ValueError:
        return "the robot's answer is not JSON"
    code = found.get(code_name) if isinstance(found, dict) else None
    if code == 0:
        return None
    return f"the robot answered {code_name} {code}: {str(found.get(text_name, ''))[:200] if isinstance(found, dict) else ''}"
