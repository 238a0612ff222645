"""Facilities and the devices that watch them: state, heartbeat, battery. Read by ingest through EVENT_TYPES."""

from __future__ import annotations

from citybrain_schemas.event_type import Domain, EventData, EventType, Metric, count
from citybrain_schemas.readings import Reading, always
from citybrain_schemas.values import Code, Percent


class FacilityStatus(EventData):
    """The state of a component in the city's own words, such as 完好, 破损, 丢失, 废弃."""

    state: Code


class DeviceHeartbeat(EventData):
    """A device is alive."""


class DeviceBattery(EventData):
    """How much charge a device has left."""

    percent: Percent


def _battery(data: DeviceBattery) -> tuple[Reading, ...]:
    return (Reading("device.battery", data.percent),)


DOMAIN = Domain(
    "facilities",
    types=(
        EventType("facility.status", FacilityStatus, always(), sensor=True),
        EventType(
            "device.heartbeat",
            DeviceHeartbeat,
            always(Reading("device.heartbeats", 1)),
            ("device.heartbeats",),
            sensor=True,
        ),
        EventType("device.battery", DeviceBattery, _battery, ("device.battery",), sensor=True),
    ),
    metrics=(
        Metric("device.battery", "%", "gauge", "mean", "Charge left", "设备电量"),
        count("device.heartbeats", "Heartbeats of devices", "设备心跳数"),
    ),
)
