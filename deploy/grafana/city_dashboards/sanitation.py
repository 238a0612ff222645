"""Sanitation and facilities: bins, collections, charge of devices, states of facilities."""

from __future__ import annotations

from city_dashboards.model import Board, Column, Limits, Panel, Row, Sql
from city_dashboards.shared import ASSET, MEASURED, PLACE, SILENT_FOR, bars, chart, heard, now, silent, total
from city_dashboards.variables import API, AREAS
from city_dashboards.words import Words

_FULL: Limits = ((None, "green"), (75, "orange"), (90, "red"))
_CHARGE: Limits = ((None, "red"), (20, "orange"), (40, "green"))
_BINS = Panel(
    "table",
    Words("Fullest bins", "最满的垃圾桶"),
    Words(
        "The last level of each bin, the fullest first, at most 100, with how long ago it was told.",
        "各垃圾桶最近的满溢度，最满的在前，最多100个，并显示距今时长。",
    ),
    Sql("assets/bins"),
    "short",
    12,
    11,
    columns=(ASSET, PLACE, Column("level", Words("Level", "满溢度"), "percent", _FULL), SILENT_FOR, MEASURED),
    empty=Words("no bins", "无垃圾桶"),
)
_BATTERIES = Panel(
    "table",
    Words("Least charge", "电量最低"),
    Words(
        "Devices with the least charge first, at most 100, with how long ago it was told.",
        "电量最低的设备在前，最多100个，并显示距今时长。",
    ),
    Sql("assets/batteries"),
    "short",
    12,
    11,
    columns=(ASSET, PLACE, Column("charge", Words("Charge", "电量"), "percent", _CHARGE), SILENT_FOR, MEASURED),
    empty=Words("no devices", "无设备"),
)
_FACILITIES = Panel(
    "table",
    Words("Facilities by state", "设施状态"),
    Words("How many facilities last said to be in which state.", "各状态下的设施数，按最近一次上报。"),
    Sql("assets/facilities"),
    "short",
    24,
    6,
    columns=(
        Column("state", Words("State", "状态")),
        Column("facilities", Words("Facilities", "设施数")),
        Column("silent_s", Words("Last told", "最近上报距今"), "s"),
    ),
    empty=Words("no facilities have reported", "没有设施上报"),
)

BOARD = Board(
    "sanitation",
    Words("Sanitation and facilities", "环卫与设施"),
    Words(
        "How full the bins are, what was collected, and how devices and facilities do.", "垃圾桶满溢、清运、设备电量与设施状态。"
    ),
    (
        Row(
            Words("Now", "当前"),
            (
                now(
                    "bin.level",
                    Words("Fullest bin", "最满的垃圾桶"),
                    Words("Level of the fullest bin that reported in this minute.", "同一分钟上报的垃圾桶中最满的一个。"),
                    "percent",
                    _FULL,
                ),
                now(
                    "device.battery",
                    Words("Mean charge", "平均电量"),
                    Words("Mean charge of the devices that reported in this minute.", "同一分钟上报的设备的平均电量。"),
                    "percent",
                    _CHARGE,
                ),
                total("sanitation.collections", Words("Collections", "清运次数"), Words("Collections done.", "完成的清运次数。")),
                total("citizen.reports", Words("Citizens' reports", "市民上报"), Words("Reports of citizens.", "市民上报数。")),
                silent(("bin.level", "device.battery")),
                heard(("bin.level", "device.battery", "facility.status", "device.heartbeat")),
            ),
        ),
        Row(
            Words("Over time", "趋势"),
            (
                chart(
                    "bin.level",
                    Words("Fullest bins", "垃圾桶满溢度"),
                    Words("Level of the fullest bin of each area.", "各区域最满垃圾桶的满溢度。"),
                    "percent",
                    least=0,
                    most=100,
                ),
                bars(
                    (("sanitation.collections", Words("collections", "清运")),),
                    Words("Collections", "清运"),
                    Words("Collections by when they were done.", "按完成时间统计的清运次数。"),
                ),
                chart(
                    "device.battery",
                    Words("Charge", "设备电量"),
                    Words("Mean charge of the devices of each area.", "各区域设备的平均电量。"),
                    "percent",
                    24,
                    least=0,
                    most=100,
                ),
            ),
        ),
        Row(Words("Bins and devices", "垃圾桶与设备"), (_BINS, _BATTERIES, _FACILITIES)),
    ),
    (*AREAS, API),
)
