"""The demo's samples as one stream of events around now. Called by play. Reads the sample files, posts nothing, asks no clock.

Every sample moves by whole weeks plus the difference of the two time zones, so that a Monday morning there is a Monday morning
here. Its last week or two lie ahead of now: what lies behind is *history*, posted at its own (moved) times; what lies ahead is
*life*, posted in its order, a few events a second, each with the time at which it is posted. So the charts have their months at
once, something happens every second, and no event ever lies in the future. The price: in life a day passes in a minute or two.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from citybrain.replay.csv_map import find_map
from citybrain.replay.errors import ReplayError
from citybrain.replay.records import RecordFile
from citybrain.replay.rows import Record, utc_text
from citybrain.replay.yaml_lines import Entry

SAMPLES = (("parking.csv.gz", "parking_birmingham"), ("water.csv.gz", "water_districts"), ("heat.csv.gz", "heat_meter"))
WEEK = timedelta(weeks=1)
_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Moved:
    """One event of a sample and the time it was moved to."""

    at: datetime
    event: dict[str, Any]

    @property
    def subject(self) -> str:
        """The asset that speaks."""
        return str(self.event["subject"])

    def body(self, at: datetime, run: str) -> bytes:
        """The event as JSON at a time, with an id of its own for this run."""
        return _encoder.encode({**self.event, "id": f"{self.event['id']}~{run}", "time": utc_text(at)})


def city_zone(folder: Path) -> ZoneInfo:
    """The time zone of the profile in `folder`."""
    file = folder / "city.yaml"
    try:
        return ZoneInfo(Entry.parse(str(file), file.read_text("utf-8-sig")).fields()["timezone"].text())
    except (OSError, KeyError, ValueError) as error:
        raise ReplayError(f"{file} names no time zone") from error


def load_samples(folder: Path, now: datetime) -> list[Moved]:
    """All samples of the profile in `folder`, moved and in order of time; they end between one and two weeks after `now`."""
    zone = city_zone(folder)
    streams = [sorted(_moved(folder, file, name, zone, now), key=lambda one: one.at) for file, name in SAMPLES]
    return list(heapq.merge(*streams, key=lambda one: one.at))


def _moved(folder: Path, file: str, map_name: str, zone: ZoneInfo, now: datetime) -> Iterator[Moved]:
    csv_map = find_map(map_name, [folder / "maps"])
    with RecordFile(folder / "samples" / file, csv_map) as records:
        found = [one for one in records if isinstance(one, Record)]
    times = [one.time for one in found if one.time]
    if not times:
        raise ReplayError(f"the sample {file} holds no event")
    shift = shift_of(max(times), csv_map.time.zone, zone, now)
    for one in found:
        if one.time and isinstance(one.event, dict):
            yield Moved(one.time + shift, one.event)


def shift_of(last: datetime, there: ZoneInfo, here: ZoneInfo, now: datetime) -> timedelta:
    """By how much a sample that ends at `last` moves: whole weeks, and the clock of there becomes the clock of here."""
    clocks = (last.astimezone(there).utcoffset() or timedelta()) - (now.astimezone(here).utcoffset() or timedelta())
    weeks = (now + WEEK - (last + clocks)) // WEEK + 1
    return clocks + weeks * WEEK


def unheard(stream: Sequence[Moved], heard: dict[str, datetime], now: datetime) -> list[Moved]:
    """The history that the city has not: of each subject only what is later than its latest reading there."""
    return [one for one in stream if one.at <= now and (one.subject not in heard or one.at > heard[one.subject])]
