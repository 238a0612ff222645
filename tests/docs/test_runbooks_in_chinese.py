"""Each runbook has a Chinese page beside it that says the same: headings, figures, code and links."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
ENGLISH = sorted(path for path in RUNBOOKS.glob("*.md") if ".zh-CN" not in path.name)


def in_chinese(page: Path) -> Path:
    return page.with_name(f"{page.stem}.zh-CN.md")


def pair(page: Path) -> tuple[str, str]:
    """A page and the Chinese one beside it, without the lines that name each other."""
    english, chinese = page.read_text("utf-8"), in_chinese(page).read_text("utf-8")
    return english.replace(f"[中文]({page.stem}.zh-CN.md)", ""), chinese.replace(f"[English]({page.name})", "")


def code(text: str) -> Counter[str]:
    """Blocks and spans of code: in another language they may come in another order."""
    block = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
    return Counter(block.findall(text)) + Counter(re.findall(r"`([^`]+)`", block.sub("", text)))


def linked(text: str) -> Counter[str]:
    return Counter(re.findall(r"\]\(([^)\s]+)\)", text))


def test_each_runbook_has_a_chinese_page_and_no_chinese_page_is_alone() -> None:
    assert {path.name for path in RUNBOOKS.glob("*.zh-CN.md")} == {in_chinese(page).name for page in ENGLISH}


@pytest.mark.parametrize("page", ENGLISH, ids=lambda page: page.stem)
def test_a_runbook_has_the_same_headings_and_figures_in_chinese(page: Path) -> None:
    english, chinese = pair(page)
    for form in (r"^#+(?= )", r"^\* ", r"^\| "):
        assert re.findall(form, english, re.MULTILINE) == re.findall(form, chinese, re.MULTILINE), form
    assert Counter(re.findall(r"\d+", english)) == Counter(re.findall(r"\d+", chinese))


@pytest.mark.parametrize("page", ENGLISH, ids=lambda page: page.stem)
def test_a_runbook_quotes_the_same_code_in_chinese_to_the_letter(page: Path) -> None:
    english, chinese = pair(page)
    assert code(english) == code(chinese)


@pytest.mark.parametrize("page", ENGLISH, ids=lambda page: page.stem)
def test_a_runbook_leads_to_the_same_pages_in_chinese_where_they_are_there_in_chinese(page: Path) -> None:
    english, chinese = pair(page)
    wanted: Counter[str] = Counter()
    for link, times in linked(english).items():
        translated = link.replace(".md", ".zh-CN.md")
        wanted[translated if (RUNBOOKS / translated).exists() else link] += times
    assert linked(chinese) == wanted


def test_what_compares_the_pages_sees_a_query_that_differs_and_a_span_that_is_gone() -> None:
    assert code("`a` and `b > 1`\n```sh\nrun\n```\n") == code("```sh\nrun\n```\n`b > 1`、`a`")
    assert code("`b > 1`") != code("`b > 2`")
    assert code("`a` `a`") != code("`a`")
    assert code("```sh\nrun\n```\n") != code("```sh\nran\n```\n")
