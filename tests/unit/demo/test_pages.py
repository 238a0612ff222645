"""Pages in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from citybrain.demo.pages import announcement, language_of, lines_of, refused_line, style_of

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples" / "webhooks"
AT = datetime(2026, 11, 23, 8, 15, 7, tzinfo=UTC)


def example(name: str) -> dict[str, Any]:
    return dict(json.loads((EXAMPLES / f"{name}.json").read_text("utf-8")))


def test_a_page_is_a_line_for_each_alert_in_the_reader_s_language() -> None:
    firing = example("alert.firing")
    line = "08:15:07 → traffic-duty · FIRING · warning · Parking lot full: lot-0031 is 97% full · signature verified"
    assert lines_of(firing, "traffic-duty", AT, "en")[0] == line
    assert lines_of(firing, "traffic-duty", AT, "zh")[0] == "08:15:07 → traffic-duty · 告警 · 一般 · 停车场已满 · 签名已验证"
    assert len(lines_of(firing, "traffic-duty", AT, "en")) == len(firing["data"]["alerts"])


@pytest.mark.parametrize(
    ("name", "en", "zh"),
    [("alert.resolved", "RESOLVED", "恢复"), ("alert.updated", "STILL FIRING", "持续"), ("alert.escalated", "ESCALATED", "升级")],
)
def test_every_kind_has_its_word(name: str, en: str, zh: str) -> None:
    assert f" {en} " in lines_of(example(name), "desk", AT, "en")[0]
    assert f" {zh} " in lines_of(example(name), "desk", AT, "zh")[0]


def test_what_was_no_problem_after_all_is_retracted() -> None:
    webhook = example("alert.resolved")
    webhook["data"]["alerts"][0]["state"] = "retracted"
    assert " RETRACTED " in lines_of(webhook, "desk", AT, "en")[0]
    assert style_of(webhook) == "green"


def test_what_was_left_out_is_counted_and_a_test_is_a_line() -> None:
    webhook = example("alert.firing")
    webhook["data"]["truncated"] = 3
    assert lines_of(webhook, "desk", AT, "en")[-1].endswith("and 3 more")
    assert lines_of(webhook, "desk", AT, "zh")[-1].endswith("另有 3 条")
    assert lines_of(example("endpoint.test"), "desk", AT, "en") == ["08:15:07 → desk · endpoint.test"]


def test_the_locale_chooses_the_language() -> None:
    assert language_of({"LANG": "zh_CN.UTF-8"}) == "zh"
    assert language_of({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}) == "en"
    assert language_of({}) == "en"


def test_what_is_staged_is_said_in_both_languages() -> None:
    assert "dma-03 stops speaking" in announcement("dma-03", "en")
    assert "dma-03 将停止上报" in announcement("dma-03", "zh")
    assert "signature" in refused_line(AT, "en")
    assert "签名" in refused_line(AT, "zh")
