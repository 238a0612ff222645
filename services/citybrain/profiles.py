"""Between a profile's files and the database: load one, refuse a change that stored windows contradict, follow the current one.

Called by runner and the commands about a city and its rules. The event types and metrics of the schemas are what a roster and
rules may name. Endpoints' secrets go to the endpoints' own rows and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from dotenv import dotenv_values

from citybrain.aggregate.columns import micros_of, moment_of
from citybrain.aggregate.windows import dirty_rows
from citybrain.city import (
    ENDPOINTS_FILE,
    FILES,
    RULES_FOLDER,
    City,
    Mistake,
    ProfileError,
    ProfileFiles,
    parse_city,
    read_folder,
    read_rule_files,
    rule_paths,
)
from citybrain.city.areas import Area, feature
from citybrain.city.yaml_document import Document
from citybrain.endpoints.addresses import Policy
from citybrain.endpoints.of_profile import check_lines, sync_profile_endpoints
from citybrain.errors import CitybrainError
from citybrain.rulebook.endpoints import EndpointLine, read_endpoints, with_secrets
from citybrain.rulebook.model import LoadedRules, RuleBook
from citybrain.rulebook.read import read_rule_book, rule_book
from citybrain.store import profiles, rule_sets
from citybrain.store.pool import Connection, Pool, translated
from citybrain.store.profiles import AreaRow, StoredProfile
from citybrain.telemetry import Metrics
from citybrain_schemas.events import EVENT_TYPES
from citybrain_schemas.metrics import METRICS

_log = logging.getLogger(__name__)
FOLLOW_S = 2.0
MOST_TOLD = 20
_NO_FILES: ProfileFiles = MappingProxyType({})


class NeedsRebuild(CitybrainError):
    """The profile's time zone has changed, and windows are stored: `citybrain city load DIR --rebuild` makes them anew."""


class NoProfile(CitybrainError):
    """The database holds no city profile: load one with `citybrain city load DIR`."""


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """Rules and endpoints that were found right; `files` are those of the rules alone."""

    files: Mapping[str, bytes]
    book: RuleBook
    endpoints: tuple[EndpointLine, ...]


def read_city(folder: Path, more_rules: ProfileFiles = _NO_FILES) -> tuple[ProfileFiles, City]:
    """The files of a folder and the city that they describe. Raises ProfileError with every mistake, those in rules, too.

    `more_rules` are rule files that are not in the folder: those of the demo.
    """
    files = {**read_folder(folder), **more_rules}
    mistakes: list[Mistake] = []
    _rule_files(files, mistakes)
    try:
        city = parse(files)
    except ProfileError as error:
        raise ProfileError([*error.mistakes, *mistakes]) from error
    if mistakes:
        raise ProfileError(mistakes)
    return files, city


def parse(files: ProfileFiles) -> City:
    """The city that files describe."""
    return parse_city(files, event_types=frozenset(EVENT_TYPES), metrics=frozenset(METRICS))


def parse_rules(files: ProfileFiles) -> RuleFiles:
    """The rules and endpoints of a profile. Raises ProfileError."""
    mistakes: list[Mistake] = []
    found = _rule_files(files, mistakes)
    if mistakes:
        raise ProfileError(mistakes)
    return found


def _rule_files(files: ProfileFiles, mistakes: list[Mistake]) -> RuleFiles:
    """Routes may name the endpoints of endpoints.yaml alone, if there is one; else any that is made over the API."""
    endpoints: tuple[EndpointLine, ...] = ()
    names = None
    if ENDPOINTS_FILE in files:
        before = len(mistakes)
        endpoints = read_endpoints(Document(ENDPOINTS_FILE, files[ENDPOINTS_FILE], mistakes), mistakes)
        names = [line.name for line in endpoints] if len(mistakes) == before else None
    rules = {name: bytes(content) for name, content in files.items() if name.startswith(f"{RULES_FOLDER}/")}
    return RuleFiles(rules, read_rule_book(rules, mistakes, names), endpoints)


async def load(pool: Pool, files: ProfileFiles, city: City, *, rebuild: bool = False, policy: Policy | None = None) -> bool:
    """Make a profile the current one, with its rules and endpoints; False when it is already. Raises NeedsRebuild.

    `policy` says where webhooks may go. Raises ProfileError for a variable of a secret that is not set, EndpointRefused.
    """
    rules = parse_rules(files)
    lines = with_secrets(rules.endpoints, _environment())
    with translated():
        async with pool.acquire() as connection, connection.transaction():
            changed = await _put_profile(connection, files, city, rebuild=rebuild)
            version = await _put_rules(connection, rules, lines, policy or Policy(), "profile")
    if changed:
        _log.info("profile_loaded", extra={"version": city.version, "rebuild": rebuild})
    return changed or version is not None


async def _put_profile(connection: Connection, files: ProfileFiles, city: City, *, rebuild: bool) -> bool:
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
        rows = dirty_rows([parent for parent, _ in touched], [micros_of(start) for _, start in touched], city.settings.zone)
        longer = [(step, moment_of(start), series) for step, start, series in rows.iter_rows() if step != "1m"]
        await profiles.rebuild(connection, longer)
    return True


async def _put_rules(
    connection: Connection, rules: RuleFiles, lines: Sequence[EndpointLine], policy: Policy, made_by: str
) -> int | None:
    """The version of a new rule set; None when the current one is the same. Endpoints are taken up in any case."""
    before = await rule_sets.current_version(connection)
    version = await rule_sets.put_rule_set(connection, rules.files, made_by)
    await sync_profile_endpoints(connection, lines, policy)
    if version == before:
        return None
    _log.info("rules_loaded", extra={"version": version, "rules": len(rules.book.rules), "by": made_by})
    return version


def _environment() -> Mapping[str, str]:
    """Where variables of secrets are looked up: where settings are, too."""
    written = dotenv_values(Path.cwd() / ".env", interpolate=False)
    return {**{name: value for name, value in written.items() if value is not None}, **os.environ}


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


@dataclass(slots=True)
class CurrentRules:
    """The current rule set; roles call it each time they need it. Made by `current_rules`.

    With a `folder` (the embedded city's profile) its files are watched, and become a new rule set when they have changed, are
    right, and have stood still for a look. What is wrong is told once, and the rules go on as they were.
    """

    rules: LoadedRules
    metrics: Metrics
    folder: Path | None = None
    policy: Policy = field(default_factory=Policy)
    more_rules: ProfileFiles = field(default_factory=dict)  # besides those of the folder
    _seen: object = None  # names, times and sizes of the files at the last look
    _judged: object = None  # those that were taken up or refused
    _refused: str = ""  # the last refusal that was told

    def __call__(self) -> LoadedRules:
        return self.rules

    def why_not(self) -> str | None:
        """Why alert cannot judge: there is no rule set. A change that was refused leaves the rules as they were."""
        return None if self.rules.version else "no rules are loaded: load a profile with `citybrain city load DIR`"

    async def follow(self, pool: Pool) -> None:
        """Take up changed files, and rule sets that others load, until cancelled."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            await self.look(pool)

    async def look(self, pool: Pool) -> None:
        """Once: the files, then the database."""
        for part in (self._look_at_folder, self._look_at_database):
            try:
                await part(pool)
            except ProfileError as error:
                self._refuse([str(one) for one in error.mistakes])
            except OSError as error:
                self._refuse([f"{error.filename}: cannot be read: {error.strerror}"])
            except CitybrainError as error:
                if error.retryable:
                    _log.warning("rules_not_followed", extra={"reason": str(error)[:500]})
                else:
                    self._refuse([str(error)])

    async def _look_at_folder(self, pool: Pool) -> None:
        if self.folder is None or (stamp := await asyncio.to_thread(_stamp, self.folder)) is None:
            return
        stands = stamp == self._seen
        self._seen = stamp
        if not stands or stamp == self._judged:
            return
        try:
            rules, lines = await asyncio.to_thread(_read_rules, self.folder, self.policy, self.more_rules)
        except (CitybrainError, OSError):
            self._judged = stamp
            raise
        with translated():
            async with pool.acquire() as connection, connection.transaction():
                await _put_rules(connection, rules, lines, self.policy, "profile folder")
        self._judged, self._refused = stamp, ""

    async def _look_at_database(self, pool: Pool) -> None:
        with translated():
            async with pool.acquire() as connection:
                if await rule_sets.current_version(connection) in (None, self.rules.version):
                    return
                stored = await rule_sets.current(connection)
        if stored is not None:
            book = await asyncio.to_thread(rule_book, stored.files)
            self.rules = LoadedRules(stored.version, book)
            self.metrics.rules_version.set(stored.version)
            _log.info("rules_followed", extra={"version": stored.version, "rules": len(book.rules)})

    def _refuse(self, mistakes: Sequence[str]) -> None:
        """Tell of mistakes, once."""
        if (told := "\n".join(mistakes)) == self._refused:
            return
        self._refused = told
        self.metrics.rules_refused.inc()
        _log.error("rules_refused", extra={"mistakes": mistakes[:MOST_TOLD], "count": len(mistakes), "kept": self.rules.version})


def _stamp(folder: Path) -> object:
    """What changes when rules or endpoints are written; None while there is no profile in the folder."""
    if not (folder / "city.yaml").is_file():
        return None
    found = {name: path.stat() for name, path in rule_paths(folder).items()}
    return {name: (one.st_mtime_ns, one.st_size, one.st_ino) for name, one in found.items()}


def _read_rules(folder: Path, policy: Policy, more_rules: ProfileFiles) -> tuple[RuleFiles, tuple[EndpointLine, ...]]:
    mistakes: list[Mistake] = []
    rules = _rule_files({**read_rule_files(folder, mistakes), **more_rules}, mistakes)
    if mistakes:
        raise ProfileError(mistakes)
    lines = with_secrets(rules.endpoints, _environment())
    check_lines(lines, policy)
    return rules, lines


async def current_rules(
    pool: Pool,
    metrics: Metrics,
    folder: Path | None = None,
    policy: Policy | None = None,
    more_rules: ProfileFiles = _NO_FILES,
) -> CurrentRules:
    """The rules of the database; none before a profile was loaded. Raises ProfileError when this version cannot read them."""
    with translated():
        async with pool.acquire() as connection:
            stored = await rule_sets.current(connection)
    rules = LoadedRules(0, RuleBook()) if stored is None else LoadedRules(stored.version, rule_book(stored.files))
    metrics.rules_version.set(rules.version)
    return CurrentRules(rules, metrics, folder, policy or Policy(), more_rules)
