"""Conditions: what passes, what it means, and that nothing else passes."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain.city.mistakes import Misread
from citybrain.rulebook.expression import DEEPEST, LONGEST, compile_condition
from citybrain.rulebook.model import Condition

NUMBERS: dict[str, list[float | None]] = {
    "avg": [70.07, None, 0.95],
    "count": [3, 0, 0],
    "last": [1, None, -1],
    "previous_avg": [100.1, 1.0, None],
}


def holds(text: str) -> list[bool | None]:
    frame = pl.DataFrame(NUMBERS, schema_overrides={"count": pl.Int64})
    return frame.select(holds=compile_condition(text).expression)["holds"].to_list()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("avg >= 0.95", [True, None, True]),
        ("AVG > 0.95", [True, None, False]),
        ("0.95 < avg", [True, None, False]),
        ("avg = .95", [False, None, True]),
        ("avg <> 0.95", [True, None, False]),
        ("avg != 0.95", [True, None, False]),
        ("count >= 3 and avg >= 1e0", [True, False, False]),
        ("count = 0 or avg > 1", [True, True, True]),
        ("count = 3 or avg > 1", [True, None, False]),
        ("count = 0 and avg > 1", [False, None, False]),
        ("not (count = 0 and avg > 1)", [True, None, True]),
        ("not avg > 1", [False, None, True]),
        ("avg between 0.95 and 70.07", [True, None, True]),
        ("avg not between 0.95 and 1", [True, None, False]),
        ("avg in (0.95, -1)", [False, None, True]),
        ("last not in (1, -2)", [False, None, True]),
        ("avg is null", [False, True, False]),
        ("avg is not null and count > 0", [True, False, False]),
        ("last / count > 0", [True, None, None]),
        ("count = 0 or last / count > 0", [True, True, True]),
        ("count / 2 = 1.5", [True, False, False]),
        ("avg < previous * 0.7", [False, None, None]),
        ("avg <= previous * 0.7", [True, None, None]),
        ("avg - previous < 0", [True, None, None]),
        ("previous > avg", [True, None, None]),
        ("coalesce(avg, 5) = 5", [False, True, False]),
        ("abs(last) = 1", [True, None, True]),
        ("least(last, 0) = 0", [True, True, False]),
        ("greatest(avg, 1) = 1", [False, True, True]),
        ("-last = 1", [False, None, True]),
        ("2 + 3 * count = 11", [True, False, False]),
        ("avg\n >\t 1", [True, None, False]),
    ],
)
def test_a_condition_means_what_sql_means_by_it(text: str, expected: list[bool | None]) -> None:
    assert holds(text) == expected


@pytest.mark.parametrize(
    ("text", "columns", "previous_of", "watched"),
    [
        ("avg >= 0.95 and count >= 3", {"avg", "count"}, set(), ("avg", "max")),
        ("count >= 3 and avg < 1", {"avg", "count"}, set(), ("avg", "min")),
        ("count > 100", {"count"}, set(), ("count", "max")),
        ("avg < previous * 0.7", {"avg"}, {"avg"}, ("avg", "min")),
        ("previous * 0.7 > avg", {"avg"}, {"avg"}, ("avg", "min")),
        ("max > 2 or min < previous", {"max", "min"}, {"min"}, ("max", "max")),
        ("not avg > 1", {"avg"}, set(), ("avg", "min")),
        ("not not avg > 1", {"avg"}, set(), ("avg", "max")),
        ("1 - avg < 0.1", {"avg"}, set(), ("avg", "max")),
        ("1 / avg > 3", {"avg"}, set(), ("avg", "min")),
        ("value / expected < 0.5", {"value", "expected"}, set(), ("value", "min")),
        ("value between 1 and 2", {"value"}, set(), ("value", "max")),
        ("value = 1", {"value"}, set(), ("value", "max")),
    ],
)
def test_a_condition_knows_its_columns_and_which_value_is_the_worst(
    text: str, columns: set[str], previous_of: set[str], watched: tuple[str, str]
) -> None:
    found = compile_condition(text)
    assert (set(found.columns), set(found.previous_of), found.watched) == (columns, previous_of, watched)
    assert set(found.expression.meta.root_names()) == columns | {f"previous_{name}" for name in previous_of}


REFUSED = [
    ("avg >= 0.95; drop table event", 11, "more than one statement"),
    ("(select 1) = 1", 1, "'select'"),
    ("pg_sleep(10) is null", 0, "'pg_sleep'"),
    ("avg >= (select max(avg) from window)", 8, "'select'"),
    ("ave > 1", 0, "did you mean 'avg'?"),
    ("coutn > 1", 0, "did you mean 'count'?"),
    ("avg >", 4, "something is missing"),
    ("avg >= 0.95 or exists (select 1)", 15, "'exists'"),
    ("current_user = 'x'", 0, "'current_user'"),
    ("count > 0 -- x", 10, "a comment"),
    ("count > 0 /* x */", 10, "a comment"),
    ("avg::text = '1'", 3, "':'"),
    ("pg_read_file('/etc/passwd') > ''", 0, "'pg_read_file'"),
    ("1", 0, "not true or false"),
    ("true", 0, "'true'"),
    ("null", 0, "not true or false"),
    ("'a'", 0, "a text"),
    ('"avg" > 1', 0, "a text"),
    ("avg > $1", 6, "a text"),
    ("avg > 1 union select 1", 8, "'union'"),
    ("lo_import('/etc/passwd') > 0", 0, "'lo_import'"),
    ("event.id = '1'", 0, "'event'"),
    ("avg.id = 1", 3, "'.id'"),
    ("avg in (select 1)", 8, "'select'"),
    ("random() > 0.5", 0, "'random'"),
    ("count(*) > 1", 0, "no column"),
    ("max(avg) > 1", 4, "not a number"),
    ("sum(avg) > 1", 4, "not a number"),
    ("abs() > avg", 0, ""),
    ("coalesce() > avg", 0, ""),
    ("avg", 0, "not true or false"),
    ("avg + 1", 0, "not true or false"),
    ("avg > 1 and 1", 0, "not true or false"),
    ("1 < 2", 0, "no column"),
    ("avg > 1 or 1 < 2", 0, "no column"),
    ("(avg > 1) = (count > 1)", 1, "not a number"),
    ("(avg, count) > (1, 2)", 1, "not a number"),
    ("avg > null", 0, "not a number"),
    ("avg in ()", 0, "numbers in parentheses"),
    ("avg in (1, count)", 0, "numbers in parentheses"),
    ("avg is count", 0, "null or not null"),
    ("avg > 1e999", 6, "too large"),
    ("avg > 1_000", 6, "'1_000'"),
    ("avg > 0x1F", 6, "'0x1F'"),
    ("avg > ٣", 6, "'٣'"),
    ("avg ≥ 1", 4, "'≥'"),
    ("avg > 1)", 7, ""),
    ("(avg > 1", 7, ""),
    ("()", 0, ""),
    ("", 0, "is empty"),
    ("  ", 0, "is empty"),
    ("previous > 1", 0, "there is none"),
    ("avg > 1 and previous > 1", 12, "there is none"),
    ("avg + count > previous", 14, "there are several"),
    ("expected < previous", 11, "expected has none"),
    ("avg > baseline * 2", 6, "not evaluated by this version yet"),
    ("(" * 300 + "avg" + ")" * 300 + " > 1", 0, "too deep"),
    ("not " * 240 + "avg > 1", 0, "too deep"),
    ("- " * 400 + "avg > 1", 0, "too deep"),
    ("avg > 1 or " * DEEPEST + "avg > 1", 0, "too deep"),
    ("avg > 1 and " * 120, LONGEST, "longer than"),
]


@pytest.mark.parametrize(("text", "offset", "problem"), REFUSED, ids=[text[:40] for text, _, _ in REFUSED])
def test_what_reaches_too_far_or_means_nothing_is_refused_where_it_stands(text: str, offset: int, problem: str) -> None:
    with pytest.raises(Misread) as raised:
        compile_condition(text)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)
    if offset:
        assert raised.value.offset == offset


WORDS = st.sampled_from(
    ["avg", "count", "previous", "1", "0.5", "and", "or", "not", "(", ")", ">", "<=", "=", "+", "-", "*", "/", ",", "in", "is",
     "null", "between", "abs", "coalesce", "least", "'", ";", "select", "--", "[", "baseline", "☃"]
)  # fmt: skip


def compiled(text: str) -> Condition | None:
    try:
        return compile_condition(text)
    except Misread as error:
        if not 0 <= error.offset <= LONGEST:
            raise
        return None


@given(st.lists(WORDS, max_size=14).map(" ".join))
def test_whatever_is_written_is_either_refused_or_true_false_or_null_of_each_row(text: str) -> None:
    if (condition := compiled(text)) is None:
        return
    frame = pl.DataFrame({name: [None, 0.0, 2.0] for name in ("avg", "count", "previous_avg", "previous_count")})
    found = frame.select(holds=condition.expression)["holds"]
    assert found.dtype == pl.Boolean
    assert condition.columns | condition.previous_of


@given(st.text(max_size=60))
def test_no_text_brings_the_reader_down(text: str) -> None:
    compiled(text)


@given(st.decimals(-1000, 1000, places=2), st.decimals(0, 2, places=2))
def test_products_of_decimals_are_compared_as_decimals(figure: object, factor: object) -> None:
    product = figure * factor  # type: ignore[operator]
    frame = pl.DataFrame({"avg": [float(product)], "previous_avg": [float(figure)]})  # type: ignore[arg-type]
    assert frame.select(compile_condition(f"avg = previous * {factor}").expression).item() is True
    assert math.isfinite(float(product))
