"""Which form a post has, from its headers. Called by http. Pure.

Structured modes are told by their content type; binary mode (CloudEvents 1.0, HTTP binding) by a `ce-specversion` header.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from enum import Enum, auto
from functools import lru_cache

from citybrain.web.problem import Problem

_ACCEPTED = "application/json, application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson"
_UTF_8 = frozenset({"", "utf-8", "utf8", "us-ascii"})


class Form(Enum):
    """How events are laid out in a body."""

    ONE_OR_MANY = auto()  # application/json: an object or an array
    ONE = auto()
    MANY = auto()
    LINES = auto()
    BINARY = auto()  # attributes in headers, the payload alone in the body


_FORMS = {
    "application/json": Form.ONE_OR_MANY,
    "application/cloudevents+json": Form.ONE,
    "application/cloudevents-batch+json": Form.MANY,
    "application/x-ndjson": Form.LINES,
    "application/ndjson": Form.LINES,
}


def form_of(headers: Mapping[bytes, bytes]) -> Form:
    """The form of a post. Raises Problem 415."""
    content_type = headers.get(b"content-type", b"")
    form = _form(content_type)
    if b"ce-specversion" in headers and form in (None, Form.ONE_OR_MANY):
        return Form.BINARY
    if form is None:
        shown = content_type.decode("latin-1")[:80]
        raise Problem(415, f"the content type {shown!r} is not one of {_ACCEPTED}, in UTF-8", {"Accept": _ACCEPTED})
    return form


@lru_cache(256)
def _form(content_type: bytes) -> Form | None:
    """None for what is neither known nor UTF-8."""
    header = Message()
    header["content-type"] = content_type.decode("latin-1").replace("\r", " ").replace("\n", " ")
    charset = header.get_param("charset", "")
    if not isinstance(charset, str) or charset.lower() not in _UTF_8:
        return None
    return _FORMS.get(header.get_content_type()) if content_type else None
