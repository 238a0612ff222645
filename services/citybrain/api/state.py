"""The canonical state (architecture.md, invariant 4): events, windows and latest states as sorted lines of JSON.

Called by `citybrain state dump` and by tests. What is printed is a function of the set of events and the profile: no
revision, no times of ours, no numbers of ours; of an exact repeat either may be stored, so numbers are printed by value and
extensions, which its fingerprint does not cover, are left out.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal

from citybrain.api.figures import last_micros, plain, value_micros
from citybrain.api.sorted_lines import SortedLines
from citybrain.api.steps import Step, floor_hour
from citybrain.city import City
from citybrain.city.validity import LATEST
from citybrain.store import dump_reads, window_reads
from citybrain.store.dump_reads import DumpedAsset, DumpedEvent, DumpedWindow
from citybrain.store.pool import Connection, Pool
from citybrain.store.window_reads import Window
from citybrain_schemas.instants import format_time

_MAX = 3  # of `metric.mode`: an area shows the greatest of its subjects
_UTC_LATEST = LATEST - timedelta(days=2)


async def dump(pool: Pool, city: City) -> AsyncIterator[str]:
    """The lines, sorted bytewise, of one snapshot. Memory is bounded; what does not fit goes to temporary files."""
    with closing(SortedLines()) as lines:
        async with window_reads.snapshot(pool) as connection:
            async for event in dump_reads.events(connection):
                lines.add(event_line(event))
            async for asset in dump_reads.assets(connection):
                lines.add(asset_line(asset))
            async for step, window in _windows(connection, city):
                lines.add(window_line(step, window))
        for line in lines:
            yield line


async def _windows(connection: Connection, city: City) -> AsyncIterator[tuple[str, DumpedWindow]]:
    async for window in dump_reads.stored_windows(connection, "1m", _UTC_LATEST):
        yield "1m", window
    through = (await window_reads.standing(connection)).final_through
    last = await dump_reads.last_minute(connection)
    for step in (Step("1h", city.settings.zone), Step("1d", city.settings.zone)):
        bound = step.floor(through)  # windows that start earlier have ended by then, and are stored
        async for window in dump_reads.stored_windows(connection, step.name, bound):
            yield step.name, window
        if last is not None and last >= bound:
            async for window in _open(connection, city, step, (bound, step.after(step.floor(last))), through):
                yield step.name, window


async def _open(
    connection: Connection, city: City, step: Step, span: tuple[datetime, datetime], through: datetime
) -> AsyncIterator[DumpedWindow]:
    """Hours or days of the span that are not stored yet: of the assets, and of every area above them."""
    days = tuple(step.starts(*span)) if step.name == "1d" else None
    from_hours = days is not None and all(floor_hour(day) == day for day in (*days, span[1]))
    until = floor_hour(through) if from_hours else span[0]
    above = _Above(city)
    async for leaf in dump_reads.open_leaves(connection, span[0], until, days, from_hours=from_hours):
        for done in above.passed(leaf.start):
            yield done
        yield leaf
        above.add(leaf)
    for done in above.passed(_UTC_LATEST):
        yield done


class _Above:
    """The windows of areas of one start, added up from the assets'."""

    def __init__(self, city: City) -> None:
        self._areas = city.areas
        self._start: datetime | None = None
        self._sums: dict[tuple[str, str], DumpedWindow] = {}

    def passed(self, start: datetime) -> Iterator[DumpedWindow]:
        """What is complete now that a window of this start has come."""
        if start != self._start:
            yield from self._sums.values()
            self._sums.clear()
            self._start = start

    def add(self, leaf: DumpedWindow) -> None:
        """An asset's window adds to its area and to all that are above at its start."""
        path = self._areas.path_at(leaf.area, leaf.start) if self._areas.known(leaf.area) else (leaf.area,)
        for area in path:
            key = (leaf.metric, area)
            mine = leaf._replace(leaf=False, area=area, subject=None, source=None)
            self._sums[key] = _together(self._sums[key], mine) if key in self._sums else mine


def _together(one: DumpedWindow, other: DumpedWindow) -> DumpedWindow:
    parts = (one.part or 0, other.part or 0)
    return one._replace(
        readings=one.readings + other.readings,
        sum=one.sum + other.sum,
        min=min(one.min, other.min),
        max=max(one.max, other.max),
        latest=max(one.latest, other.latest),
        part=max(parts) if one.mode == _MAX else sum(parts),
        weight=None if one.weight is None or other.weight is None else one.weight + other.weight,
        subjects=one.subjects + other.subjects,
    )


def event_line(event: DumpedEvent) -> str:
    """A row of `event`."""
    fields: dict[str, object] = {"table": "event", "time": format_time(event.time)}
    fields |= {"source": event.source, "id": event.id, "type": event.type, "subject": event.subject, "area": event.area}
    fields |= {"given_area": event.given_area, "flags": sorted(event.flags or ())}
    return f'{_json(fields)[:-1]},"data":{_canonical(event.data)}}}'


def asset_line(asset: DumpedAsset) -> str:
    """A row of `asset_state`."""
    _, source, identity = asset.latest.split("\x01")[:3]
    fields: dict[str, object] = {"table": "asset_state", "subject": asset.subject, "type": asset.type, "area": asset.area}
    fields |= {"time": format_time(asset.time), "source": source, "id": identity}
    return f'{_json(fields)[:-1]},"data":{_canonical(asset.data)}}}'


def window_line(step: str, row: DumpedWindow) -> str:
    """A window of an asset or an area."""
    window = Window(row.start, row.readings, row.sum, row.min, row.max, row.latest, row.part, row.weight, row.subjects, 0)
    value = value_micros(window, row.mode, leaf=row.leaf)
    fields: dict[str, object] = {"table": "metric_window", "step": step, "start": format_time(row.start), "metric": row.metric}
    fields |= {"area": row.area, "subject": row.subject, "source": row.source, "count": row.readings, "subjects": row.subjects}
    return (
        f'{_json(fields)[:-1]},"sum":{plain(row.sum)},"min":{plain(row.min)},"max":{plain(row.max)},'
        f'"last":{plain(last_micros(row.latest))},"value":{"null" if value is None else plain(value)}}}'
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _canonical(text: str) -> str:
    """JSON by value: keys sorted, numbers in plain notation."""
    return _written(json.loads(text, parse_float=Decimal))


def _written(value: object) -> str:
    match value:
        case dict():
            return "{" + ",".join(f"{_json(name)}:{_written(value[name])}" for name in sorted(value)) + "}"
        case list():
            return "[" + ",".join(map(_written, value)) + "]"
        case Decimal():
            text = f"{value:f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
            return "0" if text == "-0" else text
        case _:
            return _json(value)
