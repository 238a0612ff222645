"""Panels that several dashboards have: a metric by area, what happened, what is silent. Used by dashboards' modules. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from city_dashboards.model import PLAIN, SILENCE_S, Column, Limits, Panel, Sql
from city_dashboards.words import BARS, SILENCE, STEPS, Words

ASSET = Column("subject", Words("Asset", "部件"), link="asset", width=150)
PLACE = Column("place", Words("Grid", "网格"))
SILENT_FOR = Column("silent_s", Words("Silent for", "静默时长"), "s", SILENCE_S, width=120)
MEASURED = Column("measured", None)


def about(text: Words, *more: Words) -> Words:
    """A description of several sentences."""
    parts = (text, *more)
    return Words(" ".join(one.en for one in parts), "".join(one.zh for one in parts))


def chart(metric: str, title: Words, text: Words, unit: str, width: int = 12, **more: float | None) -> Panel:
    """A metric of the chosen area and of those below it, over time."""
    query = Sql("windows/chart", {"metric": metric})
    words = about(text, SILENCE, STEPS)
    return Panel("chart", title, words, query, unit, width, 9, link=f"series:{metric}", **more)  # type: ignore[arg-type]


def bars(metrics: Sequence[tuple[str, Words]], title: Words, text: Words, unit: str = "short", width: int = 12) -> Panel:
    """How often things happened: (metric, its short name) stacked."""
    named = Words(*(", ".join(f"('{metric}', '{name[n]}')" for metric, name in metrics) for n in range(2)))
    listed = ", ".join(f"'{metric}'" for metric, _ in metrics)
    words = about(text, BARS)
    query = Sql("windows/bars", {"named": named, "metrics": listed})
    return Panel("bars", title, words, query, unit, width, 9, link=f"series:{metrics[0][0]}", least=0)


def bars_by_area(metric: str, title: Words, text: Words, width: int = 12) -> Panel:
    """How often something happened in each area one level below."""
    words = about(text, BARS)
    return Panel("bars", title, words, Sql("windows/bars_by_area", {"metric": metric}), "short", width, 9, least=0)


def total(metric: str, title: Words, text: Words, unit: str = "short", width: int = 4) -> Panel:
    """How much there was in the whole range."""
    words = about(
        text, Words("In the whole range of time; nothing reported shows no figure.", "为所选时间内的合计；没有上报时不显示数字。")
    )
    return Panel("stat", title, words, Sql("windows/total", {"metric": metric}), unit, width, 4, PLAIN, link=f"series:{metric}")


def now(metric: str, title: Words, text: Words, unit: str, limits: Limits) -> Panel:
    """The figure at the end of the range."""
    words = about(text, Words("After 45 minutes of silence there is no figure.", "静默超过45分钟后不显示数字。"))
    return Panel("stat", title, words, Sql("windows/now", {"metric": metric}), unit, 4, 4, limits, link=f"series:{metric}")


def heard(types: Sequence[str], width: int = 4) -> Panel:
    """No data since when."""
    words = Words(
        "When any of these assets was last heard. What is silent has no figure elsewhere: here is since when.",
        "这些部件最近一次上报的时间。静默的部件在其他图中没有数字，这里显示从何时起没有数据。",
    )
    query = Sql("assets/heard", {"types": _listed(types)})
    return Panel("stat", Words("Last reading", "最近读数"), words, query, "dateTimeFromNow", width, 4, PLAIN)


def silent(types: Sequence[str], width: int = 4) -> Panel:
    """How many assets are silent, of how many."""
    words = Words(
        "Assets of which nothing was heard for over 45 minutes at the end of the range, and how many there are.",
        "所选时间结束时超过45分钟没有上报的部件数，以及部件总数。",
    )
    columns = (
        Column("silent", Words("silent", "静默"), limits=((None, "green"), (1, "orange"))),
        Column("assets", Words("assets", "部件"), limits=((None, "text"),)),
    )
    query = Sql("assets/silence", {"types": _listed(types)})
    return Panel("stat", Words("Silent assets", "静默部件"), words, query, "short", width, 4, columns=columns)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
