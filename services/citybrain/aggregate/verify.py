"""`citybrain state verify`: make everything derived anew and list what differs. Reads one snapshot, changes nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from citybrain.aggregate.anew import made_anew, nothing_before
from citybrain.aggregate.columns import micros_of, moment_of
from citybrain.aggregate.rollup import finer_step
from citybrain.aggregate.windows import MINUTE, hour_start
from citybrain.city import City
from citybrain.city.local_time import day_bounds
from citybrain.store import verify
from citybrain.store.pool import Connection
from citybrain.store.verify import Difference, Pair, Pairs, StoredEvent

LATEST = datetime(9000, 1, 1, tzinfo=UTC)
MAX_EVENTS = 20_000  # at once, but for those of one minute
_ONE_HOUR, _ONE_DAY = timedelta(hours=1), timedelta(days=1)


class Stretch(NamedTuple):
    """The events of [begin, end), whole minutes; no other event is between two stretches."""

    begin: datetime
    end: datetime
    events: Sequence[StoredEvent]


async def differences(connection: Connection, city: City) -> AsyncIterator[Difference]:
    """Rows that are not what they are made of: minutes of assets by their events, what is above them by its parts."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for one in _of_events(connection):
            yield one
        found = await verify.span(connection)
        if found is None:
            return
        through = await verify.final_through(connection)
        days = day_bounds(found[0], found[1], city.settings.zone)
        for begin, end in pairwise(days):
            for one in await _of_day(connection, begin, end, through):
                yield one


async def _of_events(connection: Connection) -> AsyncIterator[Difference]:
    """Minutes of assets, and pairs, from the first stretch on whose raw events are kept."""
    kept = await verify.event_stretches(connection)
    if not kept:
        return
    begin = kept[0][0]
    before = nothing_before(await verify.open_pairs(connection, begin))
    pairs = Pairs(connection, begin)
    async for stretch in _stretches(connection, kept):
        anew = made_anew(stretch.events, before)
        before = anew.open
        for one in await verify.wrong_minutes(connection, stretch.begin, stretch.end, anew.minutes):
            yield one
        for one in wrong_pairs(await pairs.before(micros_of(stretch.end)), anew.pairs):
            yield one
    nothing = made_anew([], before).minutes
    for one in await verify.wrong_minutes(connection, kept[-1][1], LATEST, nothing):
        yield one
    for one in wrong_pairs(await pairs.before(None), []):
        yield one


async def _stretches(connection: Connection, kept: Sequence[tuple[datetime, datetime]]) -> AsyncIterator[Stretch]:
    """All events, cut where a minute ends; a stretch of them without events belongs to the stretch after it."""
    begin = kept[0][0]
    held: list[StoredEvent] = []
    for first, end in kept:
        for day in range((end - first).days):
            async for event in verify.events(connection, first + day * _ONE_DAY, first + (day + 1) * _ONE_DAY):
                held.append(event)
                if len(held) % MAX_EVENTS == 0 and (cut := _whole_minutes(held)):
                    until = moment_of(held[cut].at // MINUTE * MINUTE)
                    yield Stretch(begin, until, held[:cut])
                    begin, held = until, held[cut:]
        yield Stretch(begin, end, held)
        begin, held = end, []


def _whole_minutes(events: Sequence[StoredEvent]) -> int:
    """How many are before the last one's minute."""
    return bisect_left(events, events[-1].at // MINUTE * MINUTE, key=attrgetter("at"))


def wrong_pairs(stored: Iterable[Pair], made: Iterable[Pair]) -> Iterator[Difference]:
    """Readings of registers and sessions that are kept for those after them, and are not what the events say."""
    there, wanted = ({(one.at, one.key, one.metric, one.subject, one.chain): one for one in some} for some in (stored, made))
    for key in sorted(there.keys() | wanted.keys()):
        found, right = there.get(key), wanted.get(key)
        if found != right and (one := right or found) is not None:
            counts = (None if pair is None else 1 for pair in (found, right))
            yield Difference("pair", one.metric, one.area, one.subject, None, moment_of(one.at), *counts)


async def _of_day(connection: Connection, begin: datetime, end: datetime, through: datetime) -> list[Difference]:
    found = await verify.wrong_area_rows(connection, "1m", await verify.minute_starts(connection, begin, end))
    hours = [(start, start + _ONE_HOUR) for start in _hours(begin, end) if start + _ONE_HOUR <= through]
    found += await verify.wrong_leaf_rows(connection, "1h", "1m", hours)
    found += await verify.wrong_area_rows(connection, "1h", [start for start, _ in hours])
    if end <= through:
        found += await verify.wrong_leaf_rows(connection, "1d", finer_step("1d", begin, end), [(begin, end)])
        found += await verify.wrong_area_rows(connection, "1d", [begin])
    return found


def _hours(begin: datetime, end: datetime) -> list[datetime]:
    """The hours that start in a day."""
    start = hour_start(begin)
    first = start if start >= begin else start + _ONE_HOUR
    return [first + n * _ONE_HOUR for n in range(int((end - first) / _ONE_HOUR) + 1) if first + n * _ONE_HOUR < end]
