"""When assets were silent around windows without readings, from stored windows alone. Called by silent_windows.

A chart may span years, and raw events may be forgotten while windows are kept: so a silence is looked for in the hours of an
asset, in minutes where an hour is not fine enough, and a single event is asked for only where the first reading of a minute that
holds several decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from citybrain.api.holes import Due, Silence, holes, window_starts
from citybrain.api.intervals import Interval, union
from citybrain.api.steps import Step, floor_hour
from citybrain.store import heard as store
from citybrain.store.heard import AssetSeries, Heard, Look
from citybrain.store.pool import Connection
from citybrain.store.window_reads import Standing
from citybrain_schemas.events import EVENT_TYPES

HOUR = timedelta(hours=1)
MOST_STRETCHES = 64
Asset = tuple[str, str]  # subject, type of event


@dataclass(frozen=True, slots=True)
class _Asset:
    """One that is looked at: its number in the queries, what it owes, its series."""

    number: int
    key: Asset
    dues: Sequence[Due]
    series: Sequence[AssetSeries]

    @property
    def often(self) -> bool:
        """Whether a pause within an hour may be a hole."""
        return any(due.longest < HOUR for due in self.dues)


async def find_silences(
    connection: Connection, dues: Iterable[Due], empty: Sequence[Interval], step: Step, standing: Standing
) -> dict[Asset, list[Silence]]:
    """The silences of assets around intervals of starts of windows, as exactly as these windows need them."""
    by_key: defaultdict[Asset, list[Due]] = defaultdict(list)
    for due in dues:
        by_key[due.subject, due.type].append(due)
    series = defaultdict(list)
    for one in await store.series_of(connection, sorted({subject for subject, _ in by_key})):
        series[one.subject].append(one)
    assets = [
        _Asset(number, key, by_key[key], [one for one in series[key[0]] if one.metric in _own_metrics(key[1])])
        for number, key in enumerate(by_key)
    ]
    search = _Search(connection, assets, _stretches(empty, step), step, standing)
    heard = await search.run()
    return {asset.key: _silences(heard.get(asset.number, {}).values()) for asset in assets}


def _own_metrics(kind: str) -> set[str]:
    """Metrics that tell of events of a type: those that no other type feeds, where there are any."""
    found = EVENT_TYPES.get(kind)
    mine = set() if found is None else set(found.metrics)
    others = {metric for name, one in EVENT_TYPES.items() if name != kind for metric in one.metrics}
    return mine - others or mine


def _stretches(empty: Sequence[Interval], step: Step) -> list[Interval]:
    """Whole hours that hold the windows which start in intervals; not many, so those that are near each other are one."""
    hours = union((floor_hour(begin), _ceiling_hour(step.after(step.floor(end)))) for begin, end in empty)
    if len(hours) <= MOST_STRETCHES:
        return hours
    widest = sorted(range(1, len(hours)), key=lambda n: hours[n][0] - hours[n - 1][1])[-(MOST_STRETCHES - 1) :]
    cuts = [0, *sorted(widest), len(hours)]
    return [(hours[cuts[n]][0], hours[cuts[n + 1] - 1][1]) for n in range(len(cuts) - 1)]


def _ceiling_hour(at: datetime) -> datetime:
    return at if floor_hour(at) == at else floor_hour(at) + HOUR


def _silences(heard: Iterable[Heard]) -> list[Silence]:
    before: datetime | None = None
    found: list[Silence] = []
    for one in sorted(heard):
        found.append(Silence(before, one.low))
        before = one.last
    return [*found, Silence(before, None)]


Found = dict[int, dict[datetime, Heard]]  # by asset and start


@dataclass(frozen=True, slots=True)
class _Search:
    connection: Connection
    assets: Sequence[_Asset]
    stretches: Sequence[Interval]
    step: Step
    standing: Standing

    async def run(self) -> Found:
        """Hours first; minutes where hours are not fine enough, or not stored yet; events where minutes are not."""
        bound = floor_hour(self.standing.final_through)
        found: Found = {asset.number: {} for asset in self.assets}
        pairs = [(asset.number, one.series) for asset in self.assets for one in asset.series]
        for number, one in await store.hours(self.connection, pairs, self.stretches, bound):
            found[number][one.start] = one
        coarse = {asset.number: self._too_coarse(asset, found[asset.number]) for asset in self.assets}
        for number, hours in coarse.items():
            for hour in hours:
                del found[number][hour]
        looks = [look for asset in self.assets for look in self._looks(asset, coarse[asset.number], bound)]
        for number, one in await store.minutes(self.connection, looks) if looks else []:
            found[number][one.start] = one
        await self._ask_events(found)
        return found

    def _too_coarse(self, asset: _Asset, hours: Mapping[datetime, Heard]) -> list[datetime]:
        """The hours that have to be looked at minute by minute."""
        unsure = self._unsure(asset, hours.values())
        if self.step.name == "1m" and asset.often:
            unsure |= {hour for hour in hours if any(begin <= hour < end for begin, end in self.stretches)}
        return sorted(unsure)

    def _looks(self, asset: _Asset, hours: Iterable[datetime], bound: datetime) -> list[Look]:
        """Those hours, and everything that is not stored as hours yet."""
        spans = [*union((hour, hour + HOUR) for hour in hours), (bound, datetime.max.replace(tzinfo=bound.tzinfo))]
        return [Look(asset.number, one.series, one.parent, *span) for one in asset.series for span in spans]

    async def _ask_events(self, found: Found) -> None:
        unsure = [(asset, start) for asset in self.assets for start in sorted(self._unsure(asset, found[asset.number].values()))]
        asked = [(asset.number, *asset.key, start) for asset, start in unsure]
        first = await store.first_of_minute(self.connection, asked) if asked else {}
        for asset, start in unsure:
            one = found[asset.number][start]
            at = first.get((asset.number, start), one.high)
            found[asset.number][start] = one._replace(low=at, high=at)

    def _unsure(self, asset: _Asset, heard: Iterable[Heard]) -> set[datetime]:
        """Of which it matters when exactly their first reading came."""
        before: datetime | None = None
        found: set[datetime] = set()
        for one in sorted(heard):
            if one.low != one.high and self._windows(asset, before, one.low) != self._windows(asset, before, one.high):
                found.add(one.start)
            before = one.last
        return found

    def _windows(self, asset: _Asset, before: datetime | None, after: datetime) -> list[Interval | None]:
        mark = self.standing.watermark
        return [window_starts(hole, self.step, mark) for due in asset.dues for hole in holes([Silence(before, after)], due, mark)]
