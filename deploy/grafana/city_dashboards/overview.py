"""The city at a glance: what is open, what is silent, where on the map, and the way down."""

from __future__ import annotations

from city_dashboards.model import FULLNESS, NONE_IS_GOOD, Board, Column, Panel, Row, Sql
from city_dashboards.shared import bars, chart, heard, now, silent, total
from city_dashboards.variables import API, AREAS
from city_dashboards.words import Words

_PERIODIC = ("parking.occupancy", "utility.reading")
_SEVERE = ((None, "green"), (1, "red"))
SEVERITIES = (
    Column("critical", Words("critical", "紧急"), limits=((None, "green"), (1, "dark-red"))),
    Column("major", Words("major", "严重"), limits=((None, "green"), (1, "red"))),
    Column("warning", Words("warning", "一般"), limits=((None, "green"), (1, "orange"))),
    Column("info", Words("info", "提示"), limits=((None, "green"), (1, "blue"))),
)
OPEN = Panel(
    "stat",
    Words("Open alerts", "未结告警"),
    Words(
        "Alerts of the area and of all below it that are firing or recovering now, by severity.",
        "本区域及其下级当前触发或恢复中的告警，按级别。",
    ),
    Sql("alerts/open"),
    "short",
    8,
    4,
    NONE_IS_GOOD,
    SEVERITIES,
)
_COLUMNS = (
    Column("name", Words("Area", "区域"), link="area"),
    Column("alerts", Words("Open alerts", "未结告警"), "short", NONE_IS_GOOD, width=110),
    Column("severe", Words("Severe", "严重以上"), "short", _SEVERE, width=90),
    Column("silent", Words("Silent", "静默"), "short", NONE_IS_GOOD, width=80),
    Column("assets", Words("Assets", "部件"), "short", width=80),
    Column("share", Words("Places taken", "泊位占用"), "percentunit", FULLNESS, width=110),
    *(Column(name, None) for name in ("code", "latitude", "longitude", "district", "street", "community", "grid")),
)
_MAP = Panel(
    "map",
    Words("Alerts on the map", "告警地图"),
    Words(
        "The areas one level below: a circle is as large as there are open alerts, red when one of them is severe.",
        "所选区域的下一级：圆越大未结告警越多，有严重或紧急告警时为红色。",
    ),
    Sql("areas/below"),
    "short",
    12,
    10,
    _SEVERE,
    (Column("name", Words("Area", "区域"), link="area"), *_COLUMNS[1:]),
)
_TABLE = Panel(
    "table",
    Words("Areas below", "下级区域"),
    Words(
        "Each area one level below. Click its name to go down. Places taken is empty where no car park was heard for 45 minutes.",
        "下一级各区域。点击名称下钻。45分钟内没有停车场上报时，泊位占用为空。",
    ),
    Sql("areas/below"),
    "short",
    12,
    10,
    columns=_COLUMNS,
    empty=Words("no areas below", "无下级区域"),
)
BEGUN = Panel(
    "bars",
    Words("Alerts begun", "新增告警"),
    Words(
        "Alerts by when their condition became true, by severity; those that came to nothing before they fired are left out.",
        "按条件成立的时间和级别统计的告警；未触发即消失的不计。",
    ),
    Sql("alerts/begun"),
    "short",
    12,
    9,
    least=0,
    empty=Words("no alerts", "无告警"),
)

BOARD = Board(
    "overview",
    Words("City overview", "城市总览"),
    Words(
        "What is open, silent and full in an area, and the way down to its parts.", "区域内未结、静默与饱和的情况，可逐级下钻。"
    ),
    (
        Row(
            Words("Now", "当前"),
            (
                OPEN,
                silent(_PERIODIC),
                heard(_PERIODIC),
                now(
                    "parking.occupied_ratio",
                    Words("Places taken", "泊位占用率"),
                    Words("Share of all places that are taken.", "已占泊位占全部泊位的比例。"),
                    "percentunit",
                    FULLNESS,
                ),
                total("citizen.reports", Words("Citizens' reports", "市民上报"), Words("Reports of citizens.", "市民上报数。")),
            ),
        ),
        Row(Words("Where", "分布"), (_MAP, _TABLE)),
        Row(
            Words("Over time", "趋势"),
            (
                BEGUN,
                bars(
                    (("citizen.reports", Words("citizens", "市民")), ("case.reported", Words("patrols", "采集"))),
                    Words("Reports", "上报"),
                    Words("What citizens and patrols reported.", "市民与监督员的上报数。"),
                ),
                chart(
                    "parking.occupied_ratio",
                    Words("Places taken", "泊位占用率"),
                    Words("Share of places that are taken.", "已占泊位的比例。"),
                    "percentunit",
                    least=0,
                    most=1,
                ),
                chart(
                    "water.pressure",
                    Words("Water pressure", "供水压力"),
                    Words("Mean of the sensors.", "各传感器的平均值。"),
                    "pressurekpa",
                ),
            ),
        ),
    ),
    (*AREAS, API),
)
