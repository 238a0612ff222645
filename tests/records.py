"""Builders of records as ingest appends them, and of a small city, for tests of what comes after ingest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from citybrain.bus.port import Record
from citybrain.city import City, parse_city
from citybrain_schemas.canonical import fingerprint
from citybrain_schemas.topics import HEARTBEAT_TYPE

CITY, DISTRICTS = "610600", ("610602", "610603")
GRIDS = tuple(
    f"{district}{street:03}{community:03}{grid:03}"
    for district in DISTRICTS
    for street in (1, 2)
    for community in (1,)
    for grid in (1, 2)
)
_encoder = msgspec.json.Encoder(decimal_format="number")
T0 = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)


def small_city(timezone: str = "Asia/Shanghai", roster: str = "", **settings: Any) -> City:
    """One city, two districts, four streets and communities, eight square grids in a row."""
    return parse_city(city_files(timezone, roster, **settings))


def city_files(timezone: str = "Asia/Shanghai", roster: str = "", **settings: Any) -> dict[str, bytes]:
    """The same as files."""
    document = {"name": {"en": "Testborough", "zh": "试验市"}, "timezone": timezone, "horizon_days": 5000, **settings}
    files = {"city.yaml": json.dumps(document, indent=1).encode(), "areas.geojson": json.dumps(_features()).encode()}
    return files | ({"assets.csv": roster.encode()} if roster else {})


def _features() -> dict[str, Any]:
    spans: dict[str, tuple[str, str | None, float, float]] = {CITY: ("city", None, 109.0, 109.8)}
    for n, grid in enumerate(GRIDS):
        west, east = 109.0 + n / 10, 109.0 + (n + 1) / 10
        spans[grid] = ("grid", grid[:12], west, east)
        for level, size, above in (("community", 12, grid[:9]), ("street", 9, grid[:6]), ("district", 6, CITY)):
            low, high = spans.get(grid[:size], (level, above, west, east))[2:]
            spans[grid[:size]] = (level, above, min(low, west), max(high, east))
    return {"type": "FeatureCollection", "features": [_feature(code, *span) for code, span in sorted(spans.items())]}


def _feature(code: str, level: str, parent: str | None, west: float, east: float) -> dict[str, Any]:
    ring = [[west, 36.0], [east, 36.0], [east, 36.1], [west, 36.1], [west, 36.0]]
    properties = {"code": code, "level": level, "name": {"en": code, "zh": code}, "parent": parent}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def reading(metric: str, value: float | Decimal, **more: Any) -> dict[str, Any]:
    """One reading of a record, from a value in the metric's unit."""
    return {"metric": metric, "micros": round(Decimal(str(value)) * 1_000_000), **more}


def accepted(id: str, time: datetime, readings: list[dict[str, Any]], **more: Any) -> dict[str, Any]:  # noqa: A002
    """A record's content; `data`, subject, area, source, type may be given."""
    record: dict[str, Any] = {
        "id": id, "source": "/test", "type": "parking.occupancy", "time": stamp(time), "subject": "lot-1", "area": GRIDS[0],
        "data": {"n": 1}, "accepted_at": stamp(time), "readings": readings, **more,
    }  # fmt: skip
    record = {name: value for name, value in record.items() if value is not None}
    content = fingerprint(
        record["type"], datetime.fromisoformat(record["time"]), record.get("subject"), record["area"], record["data"]
    )
    return record | {"fingerprint": content.hex()}


def occupancy(id: str, time: datetime, occupied: int, capacity: int = 100, **more: Any) -> dict[str, Any]:  # noqa: A002
    """parking.occupancy as accepted."""
    ratio = {"numerator_micros": occupied * 1_000_000, "weight_micros": capacity * 1_000_000}
    readings = [reading("parking.occupied", occupied), reading("parking.occupied_ratio", Decimal(occupied) / capacity, **ratio)]
    return accepted(id, time, readings, data={"occupied": occupied, "capacity": capacity}, **more)


def register(id: str, time: datetime, value: float, **more: Any) -> dict[str, Any]:  # noqa: A002
    """A register of a water meter as accepted."""
    data = {"medium": "water", "quantity": "register", "value": value, "unit": "m³"}
    readings = [reading("water.register", value), reading("water.consumption", value, chain="", role="register")]
    return accepted(id, time, readings, **{"type": "utility.reading", "subject": "meter-1", "data": data} | more)


def record(content: dict[str, Any]) -> Record:
    """An accepted event as a record of the bus."""
    key = content.get("subject") or content["source"]
    return Record(key.encode(), content["type"], _encoder.encode(content))


def heartbeat(at: datetime) -> Record:
    """A heartbeat as a record of the bus."""
    return Record(b"", HEARTBEAT_TYPE, _encoder.encode({"accepted_at": stamp(at), "ingest": "test"}))


def records(contents: Iterable[dict[str, Any]]) -> list[Record]:
    """Accepted events as records."""
    return [record(content) for content in contents]


def stamp(at: datetime) -> str:
    """Always UTC, always six decimals."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def minutes_later(minutes: float, seconds: float = 0) -> datetime:
    """T0 and so much."""
    return T0 + timedelta(minutes=minutes, seconds=seconds)
