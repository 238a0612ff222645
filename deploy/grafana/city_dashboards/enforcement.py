"""Enforcement: what was reported, filed, returned and closed, and where. Rates with their proof come with casework."""

from __future__ import annotations

from city_dashboards.model import Board, Column, Panel, Row, Sql
from city_dashboards.shared import bars, bars_by_area, total
from city_dashboards.variables import API, AREAS
from city_dashboards.words import Words

_COUNTED = (
    ("case.reported", "reported", Words("Reported", "上报")),
    ("case.filed", "filed", Words("Filed", "立案")),
    ("case.returned", "returned", Words("Returned", "返工与回退")),
    ("case.closed", "closed", Words("Closed", "结案")),
    ("parking.violations", "violations", Words("Violations", "违停")),
    ("citizen.reports", "citizens", Words("Citizens' reports", "市民上报")),
)
_TOTALS = ", ".join(f"sum(t.value) filter (where t.metric = '{metric}')::float8 as {name}" for metric, name, _ in _COUNTED)
_BY_AREA = Panel(
    "table",
    Words("By area", "分区域"),
    Words(
        "The same counts of the areas one level below, in the range of time. Empty: nothing was reported there.",
        "下一级各区域在所选时间内的计数。空白表示没有上报。",
    ),
    Sql("windows/by_area", {"totals": _TOTALS, "metrics": ", ".join(f"'{metric}'" for metric, _, _ in _COUNTED)}),
    "short",
    24,
    6,
    columns=(Column("name", Words("Area", "区域")), *(Column(name, words) for _, name, words in _COUNTED)),
    empty=Words("no areas below", "无下级区域"),
)

BOARD = Board(
    "enforcement",
    Words("Enforcement", "执法与案件"),
    Words(
        "What patrols and citizens reported, and what became cases. Deadlines and rates come with casework.",
        "监督员与市民的上报及案件流转计数。时限与比率随案件模块提供。",
    ),
    (
        Row(
            Words("In this time", "本时段"),
            tuple(total(metric, words, Words("Events of this kind.", "该类事件数。")) for metric, _, words in _COUNTED),
        ),
        Row(
            Words("Over time", "趋势"),
            (
                bars(
                    (("case.reported", Words("reported", "上报")), ("case.filed", Words("filed", "立案"))),
                    Words("Reported and filed", "上报与立案"),
                    Words("Cases reported and filed.", "上报数与立案数。"),
                ),
                bars(
                    (("case.closed", Words("closed", "结案")), ("case.returned", Words("returned", "回退"))),
                    Words("Closed and returned", "结案与回退"),
                    Words("Cases closed, and returned to be done again.", "结案数与返工回退数。"),
                ),
                bars(
                    (("parking.violations", Words("violations", "违停")),),
                    Words("Violations", "违停"),
                    Words("Parking violations.", "违停数。"),
                ),
                bars_by_area(
                    "case.reported", Words("Reported, area by area", "分区域上报"), Words("Cases reported.", "上报数。")
                ),
            ),
        ),
        Row(Words("Where", "分布"), (_BY_AREA,)),
    ),
    (*AREAS, API),
)
