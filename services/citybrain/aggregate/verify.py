"""`citybrain state verify`: make everything derived anew and list what differs. Reads one snapshot, changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import pairwise

from citybrain.aggregate.rollup import finer_step
from citybrain.aggregate.windows import hour_start
from citybrain.city import City
from citybrain.city.local_time import day_bounds
from citybrain.store import verify
from citybrain.store.pool import Connection
from citybrain.store.verify import Difference

_ONE_HOUR = timedelta(hours=1)


async def differences(connection: Connection, city: City) -> AsyncIterator[Difference]:
    """Rows of areas, and hours and days of assets, that are not what their parts give; day by day of the city."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await verify.span(connection)
        if found is None:
            return
        through = await verify.final_through(connection)
        days = day_bounds(found[0], found[1], city.settings.zone)
        for begin, end in pairwise(days):
            for one in await _of_day(connection, begin, end, through):
                yield one


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
