"""The form of a post is told by its headers; binary mode is read as the HTTP binding says."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain.ingest.binary import item_of
from citybrain.ingest.media import Form, form_of
from citybrain.web import Problem
from citybrain_schemas.errors import ItemError


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        ("application/json", Form.ONE_OR_MANY),
        ("Application/JSON; charset=UTF-8", Form.ONE_OR_MANY),
        ('application/json;charset="utf-8"', Form.ONE_OR_MANY),
        ("application/cloudevents+json", Form.ONE),
        ("application/cloudevents-batch+json; charset=utf-8", Form.MANY),
        ("application/x-ndjson", Form.LINES),
    ],
)
def test_the_content_type_tells_the_form(content_type: str, form: Form) -> None:
    assert form_of({b"content-type": content_type.encode()}) is form


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/json; charset=latin-1", "application/jsonx", "\x00", "a\r\nb"]
)
def test_an_unknown_content_type_or_charset_is_415(content_type: str) -> None:
    with pytest.raises(Problem) as raised:
        form_of({b"content-type": content_type.encode()})
    assert raised.value.status == 415


def test_attributes_in_headers_make_binary_mode_unless_the_body_is_structured() -> None:
    assert form_of({b"content-type": b"application/json", b"ce-specversion": b"1.0"}) is Form.BINARY
    assert form_of({b"ce-specversion": b"1.0"}) is Form.BINARY
    assert form_of({b"content-type": b"application/cloudevents+json", b"ce-specversion": b"1.0"}) is Form.ONE


def test_attributes_are_percent_decoded_and_unquoted() -> None:
    headers = [
        (b"ce-subject", "编号 7%25".encode()),
        (b"ce-id", b'"a \\"quoted\\" %E2%82%AC"'),
        (b"host", b"x"),
    ]
    assert item_of(headers, {"a": 1}) == {"data": {"a": 1}, "subject": "编号 7%", "id": 'a "quoted" €'}


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_percent_encoding(text: str) -> None:
    assert item_of([(b"ce-subject", quote(text, safe="").encode())], {}) == {"data": {}, "subject": text}


@pytest.mark.parametrize(
    "headers", [[(b"ce-id", b"%zz")], [(b"ce-id", b"%ff")], [(b"ce-id", b"1"), (b"ce-id", b"2")], [(b"ce-data", b"1")]]
)
def test_broken_or_repeated_attributes_are_refused_by_name(headers: list[tuple[bytes, bytes]]) -> None:
    found = item_of(headers, {})
    assert isinstance(found, ItemError)
    assert found.field == headers[0][0].decode().removeprefix("ce-")
