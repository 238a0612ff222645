"""What group robots are sent, and how they say no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from citybrain.deliver.formats import render, why_refused

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples" / "webhooks"
BODIES = {path.stem: path.read_bytes() for path in sorted(EXAMPLES.glob("*.json"))}
ROBOTS = ("wecom", "dingtalk", "feishu")


def firing(count: int = 1, **changes: Any) -> bytes:
    document = json.loads(BODIES["alert.firing"])
    one = document["data"]["alert"] | changes
    document["data"]["alert"], document["data"]["alerts"] = one, [one] * count
    return json.dumps(document, ensure_ascii=False).encode()


def text_of(format_: str, body: bytes, language: str = "zh") -> str:
    document = json.loads(render(format_, body, language))
    if format_ == "feishu":
        assert document["msg_type"] == "post"
        post = document["content"]["post"]["zh_cn"]
        return "\n".join([post["title"], *(" ".join(part["text"] for part in line) for line in post["content"])])
    assert document["msgtype"] == "markdown"
    found = document["markdown"]["content" if format_ == "wecom" else "text"]
    assert isinstance(found, str)
    return found


def test_the_citybrain_format_is_the_stored_body_byte_by_byte() -> None:
    for body in BODIES.values():
        assert render("citybrain", body, "zh") == body


@pytest.mark.parametrize("format_", ROBOTS)
@pytest.mark.parametrize("name", sorted(BODIES.keys() - {"heartbeat"}))  # which no robot gets
def test_every_webhook_has_a_robots_message_that_names_what_it_is_about_and_is_always_the_same(format_: str, name: str) -> None:
    for language in ("en", "zh"):
        assert render(format_, BODIES[name], language) == render(format_, BODIES[name], language)
        text = text_of(format_, BODIES[name], language)
        if name != "endpoint.test":
            assert "lot_full" in text
            assert ("停车场" if language == "zh" else "Parking lot") in text


@pytest.mark.parametrize(
    ("language", "words"), [("zh", ("告警", "一般", "规则", "开始")), ("en", ("Alert", "warning", "Rule", "Since"))]
)
def test_it_speaks_the_endpoints_language(language: str, words: tuple[str, ...]) -> None:
    text = text_of("wecom", BODIES["alert.firing"], language)
    assert all(word in text for word in words)


def test_wecoms_message_has_at_most_4096_bytes_and_says_how_many_are_left_out() -> None:
    long = "停车场已满" * 40
    for count in (1, 2, 49, 50):
        body = firing(count, summary={"en": long, "zh": long})
        text = text_of("wecom", body)
        assert len(text.encode()) <= 4096
        assert ("另有" in text) is (count > 2)
    shown = text_of("wecom", firing(50)).count("**【")
    assert f"另有 {50 - shown} 条" in text_of("wecom", firing(50))


def test_a_title_longer_than_all_is_cut_between_characters() -> None:
    body = firing(1, rule="满" * 5000, title={"en": "满" * 5000, "zh": "满" * 5000}, subject="满" * 5000)
    assert len(text_of("wecom", body).encode()) <= 4096


@pytest.mark.parametrize("format_", ["wecom", "dingtalk"])
def test_texts_from_outside_make_no_links_mentions_or_lines(format_: str) -> None:
    text = text_of(format_, firing(subject="<@all> [x](http://evil)\n# *boo* `c`", title={"en": "t", "zh": "t"}, summary={}))
    assert not any(mark in text for mark in ("<@", "[x]", "`", "*boo*", "\n# "))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"type": "x", "data": {}}', b'{"type": "alert.firing", "data": 1}', b'{"type": 1}']
)
def test_what_is_no_webhook_is_not_made_into_a_message(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        render("wecom", body, "zh")


@pytest.mark.parametrize(
    ("format_", "answer", "refused"),
    [
        ("wecom", b'{"errcode":0,"errmsg":"ok"}', None),
        ("wecom", b'{"errcode":45009,"errmsg":"api freq out of limit"}', "45009: api freq"),
        ("dingtalk", b'{"errcode":310000,"errmsg":"keywords not in content"}', "310000"),
        ("dingtalk", b'{"errcode":0}', None),
        ("feishu", b'{"code":0,"msg":"success"}', None),
        ("feishu", b'{"code":19024,"msg":"Key Words Not Found"}', "19024"),
        ("feishu", b"{}", "None"),
        ("wecom", b"<html>", "not JSON"),
        ("wecom", b"\xff\xfe", "not JSON"),
        ("wecom", b"[0]", "None"),
        ("citybrain", b"whatever", None),
    ],
)
def test_robots_that_answer_200_with_another_code_have_refused(format_: str, answer: bytes, refused: str | None) -> None:
    found = why_refused(format_, answer)
    assert found is None if refused is None else found is not None and refused in found
