"""What is sent, by an endpoint's format: the body of a delivery as it is, or a group robot's message made from it.

Called by deliver.post. Pure, and a function of the stored body alone: every attempt of a delivery carries equal bytes.
"""

from __future__ import annotations

from citybrain.deliver.formats import dingtalk, feishu, wecom
from citybrain.deliver.formats.message import read_message

_ROBOTS = {"wecom": wecom.render, "dingtalk": dingtalk.render, "feishu": feishu.render}
_CODES = {"wecom": wecom.why_refused, "dingtalk": wecom.why_refused, "feishu": feishu.why_refused}


def render(format_: str, body: bytes, language: str) -> bytes:
    """The bytes to send. Raises ValueError for a body that is no webhook of ours."""
    robot = _ROBOTS.get(format_)
    return body if robot is None else robot(read_message(body, language))


def why_refused(format_: str, answer: bytes) -> str | None:
    """Why an answer with a status of success is a failure all the same: robots say so in its body. None: it is none."""
    robot = _CODES.get(format_)
    return None if robot is None else robot(answer)
