"""DingTalk's group robot: a Markdown message with a title. Its security setting must be a keyword or an address. Pure."""

from __future__ import annotations

import json

from citybrain.deliver.formats.message import Message, markdown

MAX_BYTES = 16_000  # of the 20,000 of a whole message


def render(message: Message) -> bytes:
    """The robot's message. A line of DingTalk's Markdown ends with an empty one."""
    document = {"msgtype": "markdown", "markdown": {"title": message.title, "text": markdown(message, MAX_BYTES, "\n\n")}}
    return json.dumps(document, ensure_ascii=False).encode()
