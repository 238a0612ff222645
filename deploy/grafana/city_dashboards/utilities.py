"""Water, power, gas and heat: a row each, and the meters behind them."""

from __future__ import annotations

from typing import NamedTuple

from city_dashboards.model import Board, Column, Panel, Row, Sql
from city_dashboards.shared import ASSET, MEASURED, PLACE, SILENT_FOR, bars, chart, heard, silent, total
from city_dashboards.variables import API, AREAS, MEDIUM
from city_dashboards.words import Words


class _Medium(NamedTuple):
    """A medium: its name, Grafana's unit of what is consumed, and the gauge that says how supply is."""

    name: str
    words: Words
    unit: str
    gauge: str
    gauge_words: Words
    gauge_unit: str


_MEDIA = (
    _Medium("water", Words("Water", "供水"), "m3", "pressure", Words("Water pressure", "供水压力"), "pressurekpa"),
    _Medium("power", Words("Power", "供电"), "kwatth", "voltage", Words("Voltage", "供电电压"), "volt"),
    _Medium("gas", Words("Gas", "燃气"), "m3", "pressure", Words("Gas pressure", "燃气压力"), "pressurekpa"),
    _Medium("heat", Words("Heat", "供热"), "suffix: GJ", "temperature", Words("Supply temperature", "供热温度"), "celsius"),
)
_TYPES = ("utility.reading",)
_METERS = Panel(
    "table",
    Words("Meters and sensors", "表计与传感器"),
    Words(
        "The last reading of each, those silent for longest first, at most 200. After 45 minutes of silence there is no figure.",
        "各表计最近读数，静默最久的在前，最多200个。静默超过45分钟的不显示数字。",
    ),
    Sql("assets/meters"),
    "short",
    24,
    11,
    columns=(
        ASSET,
        PLACE,
        Column("medium", Words("Medium", "介质"), width=90),
        Column("quantity", Words("Quantity", "量"), width=130),
        Column("value", Words("Reading", "读数")),
        Column("unit", Words("Unit", "单位"), width=80),
        SILENT_FOR,
        MEASURED,
    ),
    empty=Words("no meters", "无表计"),
)


def _row(one: _Medium) -> Row:
    consumed, gauge = f"{one.name}.consumption", f"{one.name}.{one.gauge}"
    en, zh = one.words
    trouble = ((f"{one.name}.outages", Words("outages", "中断")), (f"{one.name}.leaks", Words("leaks", "泄漏")))
    return Row(
        one.words,
        (
            chart(
                consumed,
                Words(f"{en}: consumption", f"{zh}用量"),
                Words("What meters added up to in each window.", "各时段的用量之和。"),
                one.unit,
                9,
                least=0,
            ),
            chart(gauge, one.gauge_words, Words("Mean of the sensors.", "各传感器的平均值。"), one.gauge_unit, 9),
            bars(
                trouble,
                Words(f"{en}: outages and leaks", f"{zh}中断与泄漏"),
                Words("Outages begun and leaks reported.", "新增中断与泄漏报告。"),
                width=6,
            ),
        ),
    )


BOARD = Board(
    "utilities",
    Words("Utilities", "水电气热"),
    Words(
        "Consumption, supply and trouble of water, power, gas and heat, and the meters that are silent.",
        "水、电、气、热的用量、供应与故障，以及静默的表计。",
    ),
    (
        Row(
            Words("In this time", "本时段"),
            (
                *(
                    total(
                        f"{one.name}.consumption",
                        Words(f"{one.words.en} used", f"{one.words.zh}用量"),
                        Words("Consumption.", "用量。"),
                        one.unit,
                    )
                    for one in _MEDIA
                ),
                silent(_TYPES),
                heard(_TYPES),
            ),
        ),
        *(_row(one) for one in _MEDIA),
        Row(Words("Meters and sensors", "表计与传感器"), (_METERS,)),
    ),
    (*AREAS, MEDIUM, API),
)
