"""Texts of alerts: gaps are filled, and nothing else can be reached through them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain.city.mistakes import Misread
from citybrain.rulebook.template import columns_of, fill, read_template

VALUES = {"subject": "lot-1", "area": "Street 1", "avg": 0.974, "count": 1234, "sum": 1e9, "value": None}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{subject} is {avg:.0%} full", "lot-1 is 97% full"),
        ("{avg}", "0.974"),
        ("{avg:.2f} in {area}", "0.97 in Street 1"),
        ("{count:,} {count}", "1,234 1234"),
        ("{sum}", "1e+09"),
        ("{value:.1f}, {min}", "–, –"),
        ("{{avg}} {{{count}}}", "{avg} {1234}"),
        ("plain", "plain"),
    ],
)
def test_gaps_are_filled(template: str, text: str) -> None:
    assert fill(read_template(template), VALUES) == text


def test_what_fills_a_gap_is_not_read_as_a_template() -> None:
    assert fill("{subject}", {"subject": "{avg} {{"}) == "{avg} {{"


def test_a_template_tells_which_columns_it_needs() -> None:
    assert columns_of("{subject} {avg:.0%} {max} {{min}}") == {"avg", "max"}


@pytest.mark.parametrize(
    ("template", "offset", "problem"),
    [
        ("{subjct}", 1, "unknown name 'subjct', did you mean 'subject'?"),
        ("{avg.__class__}", 1, "unknown name"),
        ("{avg[0]}", 1, "unknown name"),
        ("{0}", 1, "unknown name '0'"),
        ("{}", 1, "unknown name ''"),
        ("{avg!r}", 1, "unknown name"),
        ("{avg:>99999999}", 4, "is not known: a figure is written like"),
        ("{avg:.99f}", 4, "is not known: a figure is written like"),
        ("{avg:s}", 4, "is not known: a figure is written like"),
        ("{subject:.1f}", 8, "is not known: a word is written as it is"),
        ("{avg:{count}}", 0, "a single '{'"),
        ("a } b", 2, "a single '}'"),
        ("a { b", 2, "a single '{'"),
    ],
)
def test_other_gaps_are_refused_where_they_stand(template: str, offset: int, problem: str) -> None:
    with pytest.raises(Misread) as raised:
        read_template(template)
    assert problem in str(raised.value)
    assert raised.value.offset == offset


def test_texts_of_an_absence_name_no_figures() -> None:
    assert read_template("{subject} is silent", figures=()) == "{subject} is silent"
    with pytest.raises(Misread, match="unknown name 'avg'"):
        read_template("{avg}", figures=())


@given(st.text("{}:.%f01, avgsubject", max_size=30))
def test_a_template_that_is_read_can_be_filled(text: str) -> None:
    try:
        template = read_template(text)
    except ValueError:
        return
    assert isinstance(fill(template, VALUES), str)
