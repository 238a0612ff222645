"""Water, power, gas and heat: readings of meters and sensors, outages, leaks. Read by ingest through EVENT_TYPES.

A reading says its own unit; ingest converts it to the metric's. Each medium has each quantity: which of them make sense
is the meter's business.
"""

from __future__ import annotations

from typing import Literal, get_args

from citybrain_schemas.event_type import Across, Domain, EventData, EventType, Metric, count
from citybrain_schemas.readings import Reading, always
from citybrain_schemas.values import Code, Count, Number, Unit

Medium = Literal["water", "power", "gas", "heat"]
Quantity = Literal["flow", "pressure", "level", "power", "voltage", "temperature", "consumption", "register"]
MEDIA: tuple[Medium, ...] = get_args(Medium)
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


class UtilityReading(EventData):
    """One figure of a meter or sensor. `register` is what the counter shows, `consumption` what was used since the last."""

    medium: Medium
    quantity: Quantity
    value: Number
    unit: Unit


class OutageStarted(EventData):
    """Customers are without supply."""

    medium: Medium
    customers: Count


class OutageEnded(EventData):
    """Customers are supplied again."""

    medium: Medium
    customers: Count | None = None


class LeakReported(EventData):
    """Somebody saw or smelled a leak."""

    medium: Medium
    severity: Code


_METRIC_NAMES = {(medium, quantity): f"{medium}.{quantity}" for medium in MEDIA for quantity in QUANTITIES}
_OUTAGES = {medium: Reading(f"{medium}.outages", 1) for medium in MEDIA}
_LEAKS = {medium: (Reading(f"{medium}.leaks", 1),) for medium in MEDIA}


def _reading(data: UtilityReading) -> tuple[Reading, ...]:
    medium, quantity = data.medium, data.quantity
    if quantity == "consumption":
        return (Reading(_METRIC_NAMES[medium, quantity], data.value, data.unit, role="direct"),)
    figure = Reading(_METRIC_NAMES[medium, quantity], data.value, data.unit)
    if quantity != "register":
        return (figure,)
    used = Reading(_METRIC_NAMES[medium, "consumption"], data.value, data.unit, chain="", role="register")
    return (figure, used)


def _outage(data: OutageStarted) -> tuple[Reading, ...]:
    return (_OUTAGES[data.medium], Reading(f"{data.medium}.outage_customers", data.customers))


def _leak(data: LeakReported) -> tuple[Reading, ...]:
    return _LEAKS[data.medium]


_MEDIUM_NAMES = {"water": ("Water", "供水"), "power": ("Power", "供电"), "gas": ("Gas", "燃气"), "heat": ("Heat", "供热")}
_CONSUMPTION_UNITS = {"water": "m³", "power": "kWh", "gas": "m³", "heat": "GJ"}
_GAUGES: tuple[tuple[Quantity, str, Across, str, str], ...] = (
    ("flow", "m³/h", "sum", "flow", "流量"),
    ("pressure", "kPa", "mean", "pressure", "压力"),
    ("level", "m", "mean", "level", "液位"),
    ("power", "kW", "sum", "power drawn", "功率"),
    ("voltage", "V", "mean", "voltage", "电压"),
    ("temperature", "°C", "mean", "temperature", "温度"),
)


def _metrics_of(medium: Medium) -> tuple[Metric, ...]:
    en, zh = _MEDIUM_NAMES[medium]
    unit = _CONSUMPTION_UNITS[medium]
    gauges = (
        Metric(f"{medium}.{quantity}", of, "gauge", across, f"{en}: {what}", f"{zh}{name}")
        for quantity, of, across, what, name in _GAUGES
    )
    return (
        *gauges,
        Metric(f"{medium}.register", unit, "gauge", "mean", f"{en}: what the meter shows", f"{zh}表读数"),
        Metric(f"{medium}.consumption", unit, "sum", "sum", f"{en}: consumption", f"{zh}用量"),
        count(f"{medium}.outages", f"{en}: outages begun", f"{zh}中断次数"),
        Metric(f"{medium}.outage_customers", "customers", "sum", "sum", f"{en}: customers cut off", f"{zh}中断影响户数"),
        count(f"{medium}.leaks", f"{en}: leaks reported", f"{zh}泄漏报告数"),
    )


def _each(*quantities: str) -> tuple[str, ...]:
    return tuple(f"{medium}.{quantity}" for medium in MEDIA for quantity in quantities)


DOMAIN = Domain(
    "utility",
    types=(
        EventType("utility.reading", UtilityReading, _reading, _each(*QUANTITIES), sensor=True),
        EventType("utility.outage.started", OutageStarted, _outage, _each("outages", "outage_customers")),
        EventType("utility.outage.ended", OutageEnded, always()),
        EventType("utility.leak.reported", LeakReported, _leak, _each("leaks")),
    ),
    metrics=tuple(metric for medium in MEDIA for metric in _metrics_of(medium)),
)
