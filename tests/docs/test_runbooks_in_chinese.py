"""Each runbook has a Chinese page: what people on call copy from it is the same to the letter, and its links stay in Chinese.

That both have the same headings, lists, tables and blocks is a matter of all pages: test_docs_pages.py.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from pages import RUNBOOK_PAGES

FOLDER = RUNBOOK_PAGES[0].parent


def in_chinese(page: Path) -> Path:
    return page.with_name(f"{page.stem}.zh-CN.md")


def pair(page: Path) -> tuple[str, str]:
    """A page and the Chinese one beside it, without the lines that name each other."""
    english, chinese = page.read_text("utf-8"), in_chinese(page).read_text("utf-8")
    return english.replace(f"[中文]({page.stem}.zh-CN.md)", ""), chinese.replace(f"[English]({page.name})", "")


def spans(text: str) -> Counter[str]:
    """Spans of code: in another language they may come in another order. A block counts as one."""
    return Counter(re.findall(r"(?s)```.*?```|`[^`]+`", text))


def linked(text: str) -> Counter[str]:
    return Counter(re.findall(r"\]\(([^)\s]+)\)", text))


def test_each_runbook_has_a_chinese_page_and_no_chinese_page_is_alone() -> None:
    assert {page.name for page in FOLDER.glob("*.zh-CN.md")} == {in_chinese(page).name for page in RUNBOOK_PAGES}


@pytest.mark.parametrize("page", RUNBOOK_PAGES, ids=lambda page: page.stem)
def test_a_runbook_quotes_the_same_code_and_figures_in_chinese(page: Path) -> None:
    english, chinese = pair(page)
    assert spans(english) == spans(chinese)
    assert Counter(re.findall(r"\d+", english)) == Counter(re.findall(r"\d+", chinese))


@pytest.mark.parametrize("page", RUNBOOK_PAGES, ids=lambda page: page.stem)
def test_a_runbook_leads_to_the_same_pages_in_chinese_where_they_are_there_in_chinese(page: Path) -> None:
    english, chinese = pair(page)
    wanted: Counter[str] = Counter()
    for link, times in linked(english).items():
        translated = link.replace(".md", ".zh-CN.md")
        wanted[translated if (FOLDER / translated).exists() else link] += times
    assert linked(chinese) == wanted


def test_what_compares_the_pages_sees_a_query_that_differs_and_a_span_that_is_gone() -> None:
    assert spans("`a` and `b > 1`\n```sh\nrun\n```\n") == spans("```sh\nrun\n```\n`b > 1`、`a`")
    assert spans("`b > 1`") != spans("`b > 2`")
    assert spans("`a` `a`") != spans("`a`")
    assert spans("```sh\nrun\n```\n") != spans("```sh\nran\n```\n")
