"""One asset: what it measured, when it was silent, what fired. The end of every way down."""

from __future__ import annotations

from city_dashboards.model import PLAIN, SILENCE_S, Board, Column, Panel, Row, Sql
from city_dashboards.shared import about
from city_dashboards.variables import API, METRIC, SUBJECT
from city_dashboards.words import NONE, SILENCE, STEPS, Words

_FIGURES = tuple(
    Column(name, words)
    for name, words in (
        ("start", Words("From", "开始")),
        ("count", Words("Readings", "读数个数")),
        ("sum", Words("Sum", "合计")),
        ("min", Words("Least", "最小")),
        ("max", Words("Most", "最大")),
        ("avg", Words("Mean", "平均")),
        ("last", Words("Last", "最后")),
        ("value", Words("Value", "值")),
        ("revision", Words("Revision", "修订")),
    )
)
_CHART = Panel(
    "chart",
    Words("$subject: $metric", "$subject：$metric"),
    about(
        Words(
            "What it measured; a line an area that it was seen in. The unit is beside the metric's name above.",
            "该部件的数据，每个所在区域一条线。单位见上方指标名称。",
        ),
        SILENCE,
        STEPS,
    ),
    Sql("asset/chart"),
    "short",
    24,
    9,
    link="silence",
    empty=Words("no reading in this time", "本时段无读数"),
)
_HEARD = Panel(
    "stat",
    Words("Last reading", "最近读数"),
    Words("When it was last heard, whatever it said.", "最近一次上报的时间。"),
    Sql("asset/heard"),
    "dateTimeFromNow",
    6,
    6,
    PLAIN,
    empty=Words("never heard", "从未上报"),
)
_SILENCES = Panel(
    "table",
    Words("Silences", "静默"),
    Words(
        "Pauses between two readings that are so long that the line breaks. Click for the exact holes by the roster.",
        "本时段两次读数之间超过断线时长的空白。按花名册计算的准确静默见链接。",
    ),
    Sql("asset/silences"),
    "short",
    18,
    6,
    columns=(
        Column("begins", Words("From", "从"), "dateTimeAsLocal"),
        Column("ends", Words("To", "到"), "dateTimeAsLocal"),
        Column("silent_s", Words("Long", "时长"), "s", SILENCE_S, link="silence"),
    ),
    empty=Words("none in this time", "本时段无静默"),
)
_STATE = Panel(
    "table",
    Words("Latest state", "最近状态"),
    Words("The last event of each type that it sends.", "各类型的最近一次事件。"),
    Sql("asset/state"),
    "short",
    24,
    5,
    columns=(
        Column("type", Words("Type", "类型")),
        Column("place", Words("Grid", "网格")),
        Column("time", Words("At", "时间"), "dateTimeAsLocal"),
        Column("silent_s", Words("Ago", "距今"), "s", SILENCE_S),
        Column("data", Words("Data", "内容")),
    ),
    empty=Words("never heard", "从未上报"),
)
_ALERTS = Panel(
    "table",
    Words("Alerts", "告警"),
    Words("Alerts about this asset that began in this time.", "本时段内该部件的告警。"),
    Sql("asset/alerts"),
    "short",
    12,
    9,
    columns=(
        Column("severity", Words("Severity", "级别")),
        Column("title", Words("Alert", "告警"), link="alert"),
        Column("state", Words("State", "状态")),
        Column("started_at", Words("Since", "开始"), "dateTimeAsLocal"),
        Column("ended_at", Words("Until", "结束"), "dateTimeAsLocal"),
        Column("handling", Words("Handling", "处置")),
        Column("alert_id", None),
    ),
    empty=NONE,
)
_WINDOWS = Panel(
    "table",
    Words("Windows", "窗口"),
    Words(
        "The figures behind the chart, the newest first, at most 200. Revision: how often late readings changed them.",
        "图形背后的数据，最新在前，最多200行。修订为迟到读数引起的更改次数。",
    ),
    Sql("asset/windows"),
    "short",
    12,
    9,
    columns=_FIGURES,
    empty=Words("no reading in this time", "本时段无读数"),
)

BOARD = Board(
    "asset",
    Words("One asset", "部件"),
    Words(
        "What one asset measured, when it was silent, and what fired. Other dashboards lead here.",
        "单个部件的数据、静默与告警，由其他仪表盘进入。",
    ),
    (
        Row(Words("Readings", "读数"), (_CHART, _HEARD, _SILENCES)),
        Row(Words("State", "状态"), (_STATE, _ALERTS, _WINDOWS)),
    ),
    (SUBJECT, METRIC, API),
    alerts=False,
)
