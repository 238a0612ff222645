"""Parking: how full, where, how often, and which car parks say nothing."""

from __future__ import annotations

from city_dashboards.model import FULLNESS, Board, Column, Panel, Row, Sql
from city_dashboards.shared import ASSET, MEASURED, PLACE, SILENT_FOR, bars, chart, heard, now, silent, total
from city_dashboards.variables import API, AREAS
from city_dashboards.words import SILENT_AFTER_S, Words

_TYPES = ("parking.occupancy",)
_CAR_PARKS = Panel(
    "table",
    Words("Car parks", "停车场"),
    Words(
        "The last state of each car park, full ones first, at most 200. After 45 minutes of silence there is no figure.",
        "各停车场最近状态，满的在前，最多200个。静默超过45分钟的不显示数字。",
    ),
    Sql("assets/car_parks", {"silent_s": str(SILENT_AFTER_S)}),
    "short",
    24,
    11,
    columns=(
        ASSET,
        PLACE,
        Column("share", Words("Taken", "占用率"), "percentunit", FULLNESS),
        Column("occupied", Words("Places taken", "已占泊位")),
        Column("capacity", Words("Places", "泊位数")),
        SILENT_FOR,
        MEASURED,
    ),
    empty=Words("no car parks", "无停车场"),
)

BOARD = Board(
    "parking",
    Words("Parking", "停车"),
    Words(
        "How full the car parks of an area are, how often they are used, and which are silent.",
        "区域内停车场的占用、周转与静默。",
    ),
    (
        Row(
            Words("Now", "当前"),
            (
                now(
                    "parking.occupied_ratio",
                    Words("Taken", "占用率"),
                    Words("Share of all places that are taken.", "已占泊位占全部泊位的比例。"),
                    "percentunit",
                    FULLNESS,
                ),
                now(
                    "parking.occupied",
                    Words("Places taken", "已占泊位"),
                    Words(
                        "Places that are taken, of all car parks that reported in this minute.",
                        "同一分钟上报的停车场的已占泊位之和。",
                    ),
                    "short",
                    ((None, "text"),),
                ),
                total("parking.sessions", Words("Sessions", "停车次数"), Words("Parking sessions begun.", "开始的停车次数。")),
                total("parking.violations", Words("Violations", "违停数"), Words("Parking violations.", "违停数。")),
                silent(_TYPES),
                heard(_TYPES),
            ),
        ),
        Row(
            Words("Over time", "趋势"),
            (
                chart(
                    "parking.occupied_ratio",
                    Words("Share of places taken", "泊位占用率"),
                    Words(
                        "Taken places by all places, not the mean of shares.", "已占泊位之和除以泊位之和，不是各场占用率的平均。"
                    ),
                    "percentunit",
                    least=0,
                    most=1,
                ),
                chart(
                    "parking.occupied",
                    Words("Places taken", "已占泊位"),
                    Words("Places taken, added up.", "已占泊位之和。"),
                    "short",
                    least=0,
                ),
                bars(
                    (("parking.sessions", Words("sessions", "停车")),),
                    Words("Sessions begun", "停车次数"),
                    Words("Parking sessions by when they began.", "按开始时间统计的停车次数。"),
                ),
                bars(
                    (("parking.violations", Words("violations", "违停")),),
                    Words("Violations", "违停"),
                    Words("Parking violations by when they were seen.", "按发现时间统计的违停数。"),
                ),
            ),
        ),
        Row(Words("Car parks", "停车场"), (_CAR_PARKS,)),
    ),
    (*AREAS, API),
)
