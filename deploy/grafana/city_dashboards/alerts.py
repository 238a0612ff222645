"""Alerts and deliveries: what is open, what fired, what became of it, and whether anybody was told."""

from __future__ import annotations

from city_dashboards.model import NONE_IS_GOOD, Board, Column, Panel, Row, Sql
from city_dashboards.overview import BEGUN, OPEN
from city_dashboards.variables import API, AREAS
from city_dashboards.words import NONE, Words

_TITLE = Column("title", Words("Alert", "告警"), link="alert")
_SEVERITY = Column("severity", Words("Severity", "级别"), width=90)
_SUBJECT = Column("subject", Words("Asset", "部件"), link="subject", width=150)
_ID = Column("alert_id", None)
_HANDLING = Panel(
    "stat",
    Words("In hand", "处置"),
    Words(
        "Of the open alerts, how many nobody has acknowledged and how many somebody has.",
        "未结告警中，无人确认的与已确认的数量。",
    ),
    Sql("alerts/handling"),
    "short",
    6,
    4,
    columns=(
        Column("open", Words("not acknowledged", "未确认"), limits=((None, "green"), (1, "orange"))),
        Column("acknowledged", Words("acknowledged", "已确认"), limits=((None, "text"),)),
    ),
)
_TOLD = Panel(
    "stat",
    Words("Webhooks", "推送"),
    Words(
        "Webhooks made in the range of time, by what became of them. What was given up can be sent again: `endpoints resend`.",
        "所选时间内产生的推送及其结果。放弃的可以重发：endpoints resend。",
    ),
    Sql("alerts/told"),
    "short",
    6,
    4,
    columns=(
        Column("delivered", Words("delivered", "已送达"), limits=((None, "text"),)),
        Column("waiting", Words("waiting", "等待"), limits=((None, "green"), (1, "orange"))),
        Column("gave_up", Words("given up", "已放弃"), limits=((None, "green"), (1, "red"))),
    ),
)
_TOOK = Panel(
    "stat",
    Words("Until taken", "送达用时"),
    Words(
        "Seconds from when a webhook was made to when it was taken: half of them, and 95 of 100.",
        "推送从产生到送达的秒数：中位数与95分位。",
    ),
    Sql("alerts/took"),
    "s",
    4,
    4,
    ((None, "green"), (30, "orange"), (300, "red")),
    (Column("half", Words("half", "中位")), Column("most", Words("95 %", "95分位"))),
    empty=Words("nothing delivered", "无送达"),
)
_LISTED = Panel(
    "table",
    Words("Open alerts", "未结告警"),
    Words(
        "The worst and oldest first, at most 100. Click an alert to see it in the API, an asset to see its figures.",
        "级别高、时间久的在前，最多100条。点击告警在API中查看，点击部件查看其数据。",
    ),
    Sql("alerts/listed"),
    "short",
    24,
    10,
    columns=(
        _SEVERITY,
        _TITLE,
        Column("place", Words("Area", "区域")),
        _SUBJECT,
        Column("started_at", Words("Since", "开始"), "dateTimeAsLocal", width=170),
        Column("open_s", Words("For", "持续"), "s", width=110),
        Column("handling", Words("Handling", "处置"), width=120),
        Column("summary", Words("Summary", "摘要")),
        _ID,
    ),
    empty=Words("nothing is open", "没有未结告警"),
)
_RULES = Panel(
    "table",
    Words("Rules", "规则"),
    Words(
        "Which rules fired in the range of time, how often and for how many assets, and how long half of it lasted.",
        "所选时间内各规则的触发次数、涉及部件数与持续时长中位数。",
    ),
    Sql("alerts/rules"),
    "short",
    12,
    9,
    columns=(
        Column("title", Words("Rule", "规则")),
        Column("rule", Words("Name", "名称")),
        Column("alerts", Words("Alerts", "告警"), width=80),
        Column("assets", Words("Assets", "部件"), width=80),
        Column("median_s", Words("Lasted", "持续中位"), "s", width=110),
    ),
    empty=NONE,
)
_LOG = Panel(
    "table",
    Words("What became of them", "处理记录"),
    Words(
        "Log entries of the alerts of the range of time, the newest first, at most 200.",
        "所选时间内告警的记录，最新在前，最多200条。",
    ),
    Sql("alerts/log"),
    "short",
    24,
    9,
    columns=(
        Column("at", Words("At", "时间"), "dateTimeAsLocal", width=170),
        _SEVERITY,
        _TITLE,
        Column("kind", Words("What", "事项")),
        _SUBJECT,
        Column("by", Words("By", "人员")),
        Column("comment", Words("Comment", "说明")),
        _ID,
    ),
    empty=NONE,
)
_DELIVERIES = Panel(
    "bars",
    Words("Webhooks", "推送"),
    Words("Webhooks by when they were made, and what became of them.", "按产生时间和结果统计的推送。"),
    Sql("alerts/deliveries"),
    "short",
    12,
    9,
    least=0,
    empty=NONE,
)
_ENDPOINTS = Panel(
    "table",
    Words("Receivers", "接收端"),
    Words(
        "Receivers of webhooks of the range of time, those with trouble first, with what went wrong last.",
        "所选时间内的接收端，有问题的在前，并显示最近一次错误。",
    ),
    Sql("alerts/endpoints"),
    "short",
    12,
    9,
    columns=(
        Column("endpoint", Words("Receiver", "接收端")),
        Column("webhooks", Words("Webhooks", "推送"), width=90),
        Column("waiting", Words("Waiting", "等待"), "short", NONE_IS_GOOD, width=90),
        Column("gave_up", Words("Given up", "放弃"), "short", ((None, "green"), (1, "red")), width=90),
        Column("attempts", Words("Attempts each", "平均尝试"), "short", width=110),
        Column("last_error", Words("Last error", "最近错误")),
    ),
    empty=NONE,
)

BOARD = Board(
    "alerts",
    Words("Alerts and deliveries", "告警与推送"),
    Words(
        "What is open in an area, what fired, what became of it and who was told. Deliveries are those of the whole city.",
        "区域内未结与触发的告警、处理记录与推送。推送为全市数据。",
    ),
    (
        Row(Words("Now", "当前"), (OPEN, _HANDLING, _TOLD, _TOOK)),
        Row(Words("Open", "未结"), (_LISTED,)),
        Row(Words("In this time", "本时段"), (BEGUN, _RULES, _LOG, _DELIVERIES, _ENDPOINTS)),
    ),
    (*AREAS, API),
)
