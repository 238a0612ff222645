"""Between a profile's files and the database: load one, refuse a change that stored windows contradict, follow the current one.

Called by runner and `city load`. The event types and metrics of the schemas are what a roster may name.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from citybrain.aggregate.columns import micros_of, moment_of
from citybrain.aggregate.windows import dirty_rows
from citybrain.city import FILES, City, ProfileFiles, parse_city, read_folder
from citybrain.city.areas import Area, feature
from citybrain.errors import CitybrainError
from citybrain.store import profiles
from citybrain.store.pool import Pool, translated
from citybrain.store.profiles import AreaRow, StoredProfile
from citybrain_schemas.events import EVENT_TYPES
from citybrain_schemas.metrics import METRICS

_log = logging.getLogger(__name__)
FOLLOW_S = 2.0


class NeedsRebuild(CitybrainError):
    """The profile's time zone has changed, and windows are stored: `citybrain city load DIR --rebuild` makes them anew."""


class NoProfile(CitybrainError):
    """The database holds no city profile: load one with `citybrain city load DIR`."""


def read_city(folder: Path) -> tuple[ProfileFiles, City]:
    """The files of a folder and the city that they describe. Raises ProfileError with every mistake."""
    files = read_folder(folder)
    return files, parse(files)


def parse(files: ProfileFiles) -> City:
    """The city that files describe."""
    return parse_city(files, event_types=frozenset(EVENT_TYPES), metrics=frozenset(METRICS))


async def load(pool: Pool, files: ProfileFiles, city: City, *, rebuild: bool = False) -> bool:
    """Make a profile the current one; False when it is already. Raises NeedsRebuild."""
    with translated():
        async with pool.acquire() as connection, connection.transaction():
            before = await profiles.current_profile(connection)
            if before is not None and before.version == city.version and not rebuild:
                return False
            zone_changed = before is not None and parse(before.files).settings.zone != city.settings.zone
            if zone_changed and not rebuild and await profiles.has_windows(connection):
                raise NeedsRebuild(
                    f"the time zone is {city.settings.zone.key} now, and stored days are of another one:"
                    " stop the city and run `citybrain city load DIR --rebuild`"
                )
            kept = {name: bytes(content) for name, content in files.items() if name in FILES}
            await profiles.put_profile(connection, StoredProfile(city.version, kept), [_row(one) for one in city.areas.versions])
            if rebuild:
                touched = await profiles.leaf_minutes(connection)
                rows = dirty_rows(
                    [parent for parent, _ in touched], [micros_of(start) for _, start in touched], city.settings.zone
                )
                longer = [(step, moment_of(start), series) for step, start, series in rows.iter_rows() if step != "1m"]
                await profiles.rebuild(connection, longer)
    _log.info("profile_loaded", extra={"version": city.version, "rebuild": rebuild})
    return True


def _row(area: Area) -> AreaRow:
    return AreaRow(
        area.code,
        area.level,
        area.parent,
        area.name.en,
        area.name.zh,
        area.validity.valid_from,
        area.validity.valid_to,
        json.dumps(feature(area)["geometry"]),
    )


@dataclass(slots=True)
class CurrentCity:
    """The city of the current profile; roles call it each time they need it, so that a new profile is taken up at once."""

    city: City

    def __call__(self) -> City:
        return self.city

    async def follow(self, pool: Pool) -> None:
        """Take up profiles that others load, until cancelled."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                await self._look(pool)
            except CitybrainError as error:
                _log.warning("profile_not_followed", extra={"reason": str(error)[:500]})

    async def _look(self, pool: Pool) -> None:
        with translated():
            async with pool.acquire() as connection:
                if await profiles.current_version(connection) in (None, self.city.version):
                    return
                stored = await profiles.current_profile(connection)
        if stored is not None:
            self.city = await asyncio.to_thread(parse, stored.files)
            _log.info("profile_followed", extra={"version": self.city.version})


async def current_city(pool: Pool) -> CurrentCity:
    """The city of the database. Raises NoProfile."""
    with translated():
        async with pool.acquire() as connection:
            stored = await profiles.current_profile(connection)
    if stored is None:
        raise NoProfile("the database holds no city profile: load one with `citybrain city load DIR`")
    return CurrentCity(parse(stored.files))
