"""Own the conditions of rules: a SQL boolean over the columns of a window, checked and compiled. Called by `read`.

Nothing but what is listed here passes: first word by word, then node by node of sqlglot's tree. So a condition reaches no
table, no function that is not named below, no text, no second statement. Pure.

Figures are decimals, counts too (`count / 2` of 3 is 1.5). What is computed is rounded to nine places before it is compared,
so that 100.1 * 0.7 equals 70.07. A division by zero is null, and null is neither true nor false, as in SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import isfinite
from typing import Literal

import polars as pl
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from citybrain.city.mistakes import Misread, nearest, quote
from citybrain.rulebook.model import COLUMNS, Condition

LONGEST = 1000
DEEPEST = 40
PLACES = 9
BASELINE, PREVIOUS = "baseline", "previous"
_FUNCTIONS = ("coalesce", "abs", "least", "greatest")
_KEYWORDS = ("and", "or", "not", "between", "in", "is", "null", *_FUNCTIONS)
_NO_PREVIOUS = ("expected", PREVIOUS)  # of these nothing is kept one window earlier
_LESS_TELLING = ("count", "subjects", "expected", PREVIOUS)
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign><=|>=|<>|!=|[-=<>+*/(),](?!(?<=-)-|(?<=/)\*))"
)
_COMPARE: Mapping[type[exp.Expression], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    exp.GT: pl.Expr.gt, exp.GTE: pl.Expr.ge, exp.LT: pl.Expr.lt, exp.LTE: pl.Expr.le, exp.EQ: pl.Expr.eq, exp.NEQ: pl.Expr.ne,
}  # fmt: skip


def _divided(over: pl.Expr, under: pl.Expr) -> pl.Expr:
    return pl.when(under != 0).then(over / under)


_COMPUTE: Mapping[type[exp.Expression], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    exp.Add: pl.Expr.add, exp.Sub: pl.Expr.sub, exp.Mul: pl.Expr.mul, exp.Div: _divided,
}  # fmt: skip
_GROW = (exp.GT, exp.GTE)
_SHRINK = (exp.LT, exp.LTE)
_COMPARISONS = (*_COMPARE, exp.Between, exp.In, exp.Is)


def compile_condition(text: str) -> Condition:
    """The condition, ready to be evaluated. Raises Misread: what is wrong, and at which character."""
    _check_words(text)
    tree = _parsed(text)
    _check_depth(tree)
    compiler = _Compiler()
    expression = compiler.boolean(tree)
    used = compiler.columns | compiler.previous_of
    if not used:
        raise Misread("compares no column of the window", 0)
    return Condition(text, frozenset(compiler.columns), frozenset(compiler.previous_of), expression, compiler.watched())


def _check_words(text: str) -> None:
    if not text.strip():
        raise Misread("is empty", 0)
    if len(text) > LONGEST:
        raise Misread(f"is longer than {LONGEST} characters", LONGEST)
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Misread(_strange(text[at:]), at)
        if found.lastgroup == "word":
            _check_word(found[0], at)
        elif found.lastgroup == "number" and not isfinite(float(found[0])):
            raise Misread(f"{quote(found[0])} is too large a number", at)
        at = found.end()


def _strange(rest: str) -> str:
    if rest.startswith(("--", "/*")):
        return "holds a comment"
    if rest[0] == ";":
        return "holds more than one statement"
    if rest[0] in "'\"`$":
        return "holds a text: a condition compares columns and numbers"
    word = re.match(r"[\w.]+|\S", rest)
    return f"{quote(word[0] if word else rest[0])} does not belong into a condition"


def _check_word(word: str, at: int) -> None:
    name = word.lower()
    if name == BASELINE:
        raise Misread("`baseline` is not evaluated by this version yet", at)
    if name in COLUMNS or name in _KEYWORDS:
        return
    meant = nearest(name, COLUMNS)
    hint = f", did you mean {meant!r}?" if meant else f": there are {', '.join(COLUMNS)}"
    raise Misread(f"unknown column {quote(word)}{hint}", at)


def _parsed(text: str) -> exp.Expression:
    try:
        trees = sqlglot.parse(text, dialect="postgres")
    except SqlglotError as error:
        found = (getattr(error, "errors", None) or [{}])[0]
        problem = str(found.get("description") or "cannot be read").split(" for <class")[0]
        raise Misread(f"is no SQL condition: {_plain(problem)}", max(found.get("col", 1) - 1, 0)) from None
    except RecursionError:
        raise Misread("is nested too deep", 0) from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Expression):
        raise Misread("is no SQL condition", 0)
    return trees[0]


def _plain(problem: str) -> str:
    if problem.startswith("Required keyword"):
        return "something is missing beside an operator"
    return problem[:1].lower() + problem[1:]


def _check_depth(tree: exp.Expression) -> None:
    level, depth = [tree], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise Misread("is nested too deep", 0)
        level = [child for node in level for child in node.iter_expressions()]


@dataclass
class _Compiler:
    """Goes through the tree once; every node that is not named here is refused."""

    columns: set[str] = field(default_factory=set)
    previous_of: set[str] = field(default_factory=set)
    found: list[tuple[str, Literal["max", "min"]]] = field(default_factory=list)  # a column of each comparison, in their order
    previous: str | None = None  # what `previous` is of, in this comparison

    def watched(self) -> tuple[str, Literal["max", "min"]]:
        """The first comparison's column, rather of a figure than of how many there are of it."""
        telling = [one for one in self.found if one[0] not in _LESS_TELLING]
        return (telling or self.found or [(min(self.columns), "max")])[0]

    def boolean(self, node: exp.Expression, *, negated: bool = False) -> pl.Expr:
        """A node that has to be true, false or null."""
        match node:
            case exp.Paren():
                return self.boolean(node.this, negated=negated)
            case exp.And():
                return self._both(node, negated=negated, join=pl.Expr.and_)
            case exp.Or():
                return self._both(node, negated=negated, join=pl.Expr.or_)
            case exp.Not():
                return ~self.boolean(node.this, negated=not negated)
            case exp.Between() | exp.In() | exp.Is():
                return self._test(node)
            case _ if type(node) in _COMPARE:
                return self._comparison(node, negated=negated)
            case _:
                raise Misread(f"{quote(_sql(node))} is not true or false: a condition compares columns", _at(node))

    def _both(self, node: exp.Expression, *, negated: bool, join: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> pl.Expr:
        return join(self.boolean(node.args["this"], negated=negated), self.boolean(node.args["expression"], negated=negated))

    def _comparison(self, node: exp.Expression, *, negated: bool) -> pl.Expr:
        left, right = node.args["this"], node.args["expression"]
        self._enter(node)
        self._watch(left, right, grows=isinstance(node, _GROW) != negated, ordered=isinstance(node, _GROW + _SHRINK))
        return _COMPARE[type(node)](self._side(left), self._side(right))

    def _test(self, node: exp.Expression) -> pl.Expr:
        self._enter(node)
        columns = _names(node.this)
        self.found += [(name, "max") for name in columns[:1] if name != PREVIOUS]
        value = self._side(node.this)
        if isinstance(node, exp.Between):
            if node.args.get("symmetric"):
                raise Misread("`between symmetric` is not known", _at(node))
            return (value >= self._side(node.args["low"])) & (value <= self._side(node.args["high"]))
        if isinstance(node, exp.Is):
            if not isinstance(node.expression, exp.Null):
                raise Misread("`is` has to be followed by null or not null", _at(node))
            return value.is_not_null() if node.args.get("negate") else value.is_null()
        numbers = node.args.get("expressions") or []
        if not numbers or node.args.get("query") or not all(_is_number(one) for one in numbers):
            raise Misread("`in` has to be followed by numbers in parentheses", _at(node))
        return reduce(pl.Expr.or_, [value == self.number(one) for one in numbers])

    def _enter(self, node: exp.Expression) -> None:
        """Find out what `previous` is of in this comparison."""
        names = _names(node)
        if not names:
            raise Misread(f"{quote(_sql(node))} compares no column of the window", _at(node))
        self.previous = None
        if PREVIOUS not in names:
            return
        others = [name for name in names if name != PREVIOUS]
        if len(others) != 1 or others[0] in _NO_PREVIOUS:
            problem = "there is none" if not others else f"{others[0]} has none" if len(others) == 1 else "there are several"
            raise Misread(f"`previous` is the comparison's other column one window earlier: {problem}", _at(node, PREVIOUS))
        self.previous = others[0]

    def _watch(self, left: exp.Expression, right: exp.Expression, *, grows: bool, ordered: bool) -> None:
        for side, up in ((left, grows), (right, not grows)):
            for column in side.find_all(exp.Column):
                if (name := column.name.lower()) != PREVIOUS:
                    worst: Literal["max", "min"] = "max" if not ordered or up != _turned(column, side) else "min"
                    self.found.append((name, worst))
                    return

    def _side(self, node: exp.Expression) -> pl.Expr:
        """One side of a comparison: rounded when it is computed."""
        value = self.number(node)
        return value if node.find(*_COMPUTE) is None else value.round(PLACES)

    def number(self, node: exp.Expression) -> pl.Expr:
        """A node that has to be a number or null."""
        match node:
            case exp.Paren():
                return self.number(node.this)
            case exp.Neg():
                return -self.number(node.this)
            case exp.Literal() if not node.is_string:
                return pl.lit(float(node.name))
            case exp.Column() if not node.parts[1:]:
                return self._column(node)
            case exp.Coalesce() | exp.Least() | exp.Greatest() | exp.Abs():
                return self._called(node)
            case _ if type(node) in _COMPUTE:
                return _COMPUTE[type(node)](self.number(node.args["this"]), self.number(node.args["expression"]))
            case _:
                raise Misread(f"{quote(_sql(node))} is not a number", _at(node))

    def _column(self, node: exp.Column) -> pl.Expr:
        name = node.name.lower()
        if name not in COLUMNS:
            raise Misread(f"unknown column {quote(node.name)}", _at(node))
        if name == PREVIOUS:
            assert self.previous is not None  # noqa: S101 - `_enter` has looked
            self.previous_of.add(self.previous)
            return pl.col(f"{PREVIOUS}_{self.previous}").cast(pl.Float64)
        self.columns.add(name)
        return pl.col(name).cast(pl.Float64)

    def _called(self, node: exp.Expression) -> pl.Expr:
        arguments = [node.args.get("this"), *node.expressions]
        if not all(isinstance(one, exp.Expression) for one in arguments):
            raise Misread(f"{quote(_sql(node))} needs something in its parentheses", _at(node))
        values = [self.number(one) for one in arguments]
        match node:
            case exp.Abs():
                return values[0].abs()
            case exp.Least():
                return pl.min_horizontal(values)
            case exp.Greatest():
                return pl.max_horizontal(values)
            case _:
                return pl.coalesce(values)


def _turned(column: exp.Expression, side: exp.Expression) -> bool:
    """Whether the side falls when the column grows."""
    turned = False
    node: exp.Expr = column
    while node is not side and node.parent is not None:
        above = node.parent
        if isinstance(above, exp.Neg) or (isinstance(above, exp.Sub | exp.Div) and above.args["expression"] is node):
            turned = not turned
        node = above
    return turned


def _is_number(node: exp.Expression) -> bool:
    inner = node.this if isinstance(node, exp.Neg) else node
    return isinstance(inner, exp.Literal) and not inner.is_string


def _names(node: exp.Expression) -> Sequence[str]:
    """The columns beneath a node in the order of the text, each once."""
    columns = sorted(node.find_all(exp.Column), key=lambda one: one.this.meta.get("start", 0))
    return list(dict.fromkeys(one.name.lower() for one in columns))


def _at(node: exp.Expression, name: str | None = None) -> int:
    """Where the first column beneath a node begins (that of the name, if one is given)."""
    found = [one.this.meta.get("start", 0) for one in node.find_all(exp.Column) if name in (None, one.name.lower())]
    return min(found, default=0)


def _sql(node: exp.Expression) -> str:
    return node.sql(dialect="postgres")
