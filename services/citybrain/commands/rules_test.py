"""`rules test`: the tests of a rule book, in memory: events in, episodes out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import click

from citybrain.aggregate.anew import made_anew, nothing_before
from citybrain.aggregate.columns import micros_of
from citybrain.aggregate.modes import MODES
from citybrain.alert.ticks import MINUTE_MICROS
from citybrain.alert.trial import Found, Spoken, Trial, episodes, of_many
from citybrain.city import City
from citybrain.city.profile import default_city_folder
from citybrain.commands.rules import files_argument, read_book
from citybrain.commands.running import json_option, quiet_settings
from citybrain.errors import CitybrainError
from citybrain.profiles import read_city
from citybrain.rulebook.model import SOURCE_SILENT, Absence, RuleBook, RuleTest
from citybrain.store.verify import StoredEvent
from citybrain_schemas.envelope import CheckedEvent, check_event
from citybrain_schemas.events import EVENT_TYPES
from citybrain_schemas.instants import format_time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotPlaced(CitybrainError):
    """An event of a test is of no area of the city."""


class Episode(NamedTuple):
    """As tests name them: times as texts, None while it fires."""

    scope: str
    started_at: str
    ended_at: str | None

    def __str__(self) -> str:
        return f"{self.scope} from {self.started_at} " + (f"to {self.ended_at}" if self.ended_at else "on, still firing")


class Result(NamedTuple):
    """Of one test."""

    test: RuleTest
    missing: list[Episode]  # expected, and did not come
    unexpected: list[Episode]  # came, and was not expected
    came: list[Episode]


@click.command("test")
@files_argument
@click.option(
    "--city", "folder", metavar="DIR", type=click.Path(path_type=Path), help="The profile whose areas and roster count."
)
@json_option
def test(files: Sequence[Path], folder: Path | None, as_json: bool) -> None:
    """Run the tests of rules: post their events to an empty city, let all time pass that the rule waits for, compare episodes.

    The city is that of --city, else the folder that holds the `rules` folder of the first file, else CITYBRAIN_CITY, else the
    one that is shipped. An absence rule fires after the last reading, too. A test that differs ends the command with 1.
    """
    book = read_book(files, as_json=as_json)
    results = [_run(book, one, _city(files[0], folder)) for one in book.tests] if book.tests else []
    failed = [one for one in results if one.missing or one.unexpected]
    if as_json:
        click.echo(json.dumps({"tests": len(results), "failed": [_shown(one) for one in failed]}, ensure_ascii=False))
    else:
        for one in failed:
            click.echo("\n".join(_lines(one)), err=True)
        click.echo(f"tests {len(results)}, failed {len(failed)}")
    if failed:
        raise click.exceptions.Exit(1)


def _city(file: Path, folder: Path | None) -> City:
    beside = file.resolve().parent.parent
    if folder is None and file.resolve().parent.name == "rules" and (beside / "city.yaml").is_file():
        folder = beside
    _, city = read_city(folder or quiet_settings().city or default_city_folder())
    return city


def _run(book: RuleBook, test: RuleTest, city: City) -> Result:
    places = any(rule.name == test.rule and rule.per != "subject" for rule in book.rules)
    trial = _trial(test, city, places=places)
    if test.rule == SOURCE_SILENT:
        found = of_many([rule for rule in book.rules if isinstance(rule, Absence)], trial)
    else:
        found = [one for rule in book.rules if rule.name == test.rule for one in episodes(rule, trial)]
    came = [_episode(one) for one in found]
    expected = [Episode(one.scope, one.begins or "", one.ends) for one in test.expect]
    return Result(
        test, list((Counter(expected) - Counter(came)).elements()), list((Counter(came) - Counter(expected)).elements()), came
    )


def _trial(test: RuleTest, city: City, *, places: bool) -> Trial:
    """The events as a city would have stored them; the same identity twice counts once. `places`: areas have to be known."""
    kept: dict[tuple[str, str], tuple[StoredEvent, bool]] = {}
    for number, item in enumerate(test.events):
        event, place = check_event(item), f"{test.file}:{test.line} {test.rule}: event {number}"
        if isinstance(event, list):
            raise NotPlaced(f"{place}: {event[0].field} {event[0].detail}")
        area = _area(event, city, place)
        if places and not city.areas.known(area):
            raise NotPlaced(
                f"{place}: {area or 'nowhere'} is no area of the city {city.settings.name.en}: give its folder by --city"
            )
        one = _stored(event, area, item)
        kept.setdefault((one.source, one.id), (one, EVENT_TYPES[one.type].sensor))
    events = sorted((one for one, _ in kept.values()), key=lambda one: (one.at, one.source, one.id))
    spoken = [
        Spoken(one.type, one.subject, one.source, one.area, one.at)
        for one in events
        if one.subject is not None and kept[one.source, one.id][1]
    ]
    first, last = (one.at // MINUTE_MICROS for one in (events[0], events[-1]))
    return Trial(city, made_anew(events, nothing_before()).minutes, spoken, _modes(), first - 1, last + 1)


def _modes() -> Mapping[str, int]:
    return {name: int(mode) for name, mode in MODES.items()}


def _stored(event: CheckedEvent, area: str, item: Mapping[str, object]) -> StoredEvent:
    envelope = event.envelope
    data = json.dumps(item["data"], ensure_ascii=False)
    return StoredEvent(micros_of(envelope.time), envelope.source, envelope.id, event.type.name, envelope.subject, area, data)


def _area(event: CheckedEvent, city: City, place: str) -> str:
    """As ingest finds it. A subject's alert needs no area that the city knows: a rule file can be tested without its city."""
    envelope, location = event.envelope, event.data.location
    if envelope.area is not None:
        return envelope.area
    found = None if envelope.subject is None else city.roster.area_of(envelope.subject, envelope.time)
    if found is None and location is not None:
        lon, lat = map(float, location.coordinates[:2])
        found = city.places.grid_at(lon, lat, envelope.time)
    if found is None and envelope.subject is None:
        raise NotPlaced(f"{place}: neither an area nor a location says where it happened")
    return found or ""


def _episode(found: Found) -> Episode:
    one = found.episode
    return Episode(found.scope, _time(one.started), None if one.ended is None else _time(one.ended))


def _time(tick: int) -> str:
    return format_time(_EPOCH + timedelta(minutes=tick))


def _lines(result: Result) -> Iterator[str]:
    yield f"{result.test.file}:{result.test.line} {result.test.rule}: failed"
    for one in result.missing:
        yield f"  expected, and did not come: {one}"
    for one in result.unexpected:
        yield f"  came, and was not expected: {one}"


def _shown(result: Result) -> dict[str, object]:
    def listed(found: Sequence[Episode]) -> list[dict[str, str | None]]:
        return [one._asdict() for one in found]

    place = {"file": result.test.file, "line": result.test.line, "rule": result.test.rule}
    return {**place, "missing": listed(result.missing), "unexpected": listed(result.unexpected)}
