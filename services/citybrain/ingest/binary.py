"""CloudEvents in binary mode: attributes from `ce-*` headers, the payload from the body. Called by http. Pure.

Header values are percent-encoded UTF-8, in quotes or not (HTTP binding 1.0, section 3.1.3.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from citybrain_schemas.errors import ItemError, RejectCode

_PREFIX = b"ce-"
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def item_of(headers: Iterable[tuple[bytes, bytes]], payload: object) -> dict[str, object] | ItemError:
    """The event as structured mode would have posted it. Header names are in lower case."""
    item: dict[str, object] = {"data": payload}
    for name, value in headers:
        if name == b"content-type":
            item["datacontenttype"] = value.decode("latin-1")
        if not name.startswith(_PREFIX):
            continue
        attribute = name.removeprefix(_PREFIX).decode("latin-1")
        text = _decoded(value)
        if text is None or attribute in item:
            wrong = "is given twice" if attribute in item else "is not percent-encoded UTF-8"
            return ItemError(RejectCode.INVALID_FIELD, attribute[:64], wrong)
        item[attribute] = text
    return item


def _decoded(value: bytes) -> str | None:
    quoted = _QUOTED.fullmatch(value)
    plain = _ESCAPED.sub(rb"\1", quoted[1]) if quoted else value
    if _STRAY_PERCENT.search(plain):
        return None
    try:
        return unquote_to_bytes(plain).decode("utf-8")
    except UnicodeDecodeError:
        return None
