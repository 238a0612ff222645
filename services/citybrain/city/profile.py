"""Own the city profile as a whole: which files it has, where they are found, what they mean together. Called by the command
line and by every role at its start. Reads folders; never writes, asks no clock, knows no database."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import citybrain
from citybrain.city.area_file import read_areas
from citybrain.city.areas import Areas, Level
from citybrain.city.casework_files import (
    Calendar,
    Codes,
    Department,
    Kpi,
    read_calendar,
    read_codes,
    read_departments,
    read_kpis,
)
from citybrain.city.city_file import CitySettings, read_city_file
from citybrain.city.literals import Name
from citybrain.city.mistakes import Mistake, ProfileError, nearest
from citybrain.city.places import Places
from citybrain.city.roster import Roster
from citybrain.city.roster_file import Vocabulary, read_roster
from citybrain.city.yaml_document import Document

ProfileFiles = Mapping[str, bytes]
REQUIRED_FILES = ("city.yaml", "areas.geojson")
OPTIONAL_FILES = ("assets.csv", "calendar.yaml", "codes.yaml", "departments.yaml", "kpis.yaml")
FILES = (*REQUIRED_FILES, *OPTIONAL_FILES)
ENDPOINTS_FILE = "endpoints.yaml"
RULES_FOLDER = "rules"
_TOP = (*FILES, ENDPOINTS_FILE)
MISSPELT = 0.85  # a file so much like one of ours is meant to be it


@dataclass(frozen=True, slots=True)
class Casework:
    """What the files about casework say; empty where a file is left out."""

    calendar: Calendar
    codes: Codes
    departments: tuple[Department, ...]
    kpis: tuple[Kpi, ...]


@dataclass(frozen=True, slots=True)
class City:
    """A profile that was found right. `version` is the SHA-256 of what was read, in hexadecimal digits."""

    version: str
    settings: CitySettings
    level_names: Mapping[Level, Name]
    areas: Areas
    places: Places
    roster: Roster
    casework: Casework


def default_city_folder() -> Path:
    """The profile that comes with citybrain: inside an installed package, or in the repository's own tree."""
    package = Path(citybrain.__file__).resolve().parent
    shipped = package / "demo_city"
    return shipped if shipped.is_dir() else package.parents[1] / "deploy" / "city"


def read_folder(folder: Path) -> ProfileFiles:
    """The bytes of the files that a profile consists of. Raises ProfileError when there is no profile in the folder.

    Rules and endpoints, which `parse_city` leaves to others, are among them.
    """
    if not folder.is_dir():
        raise ProfileError([Mistake(str(folder), 0, "", "there is no such folder")])
    mistakes: list[Mistake] = []
    files: dict[str, bytes] = {}
    try:
        present = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
        for name in present:
            meant = None if name in _TOP else nearest(name, _TOP, MISSPELT)
            if meant is not None and meant not in present:
                mistakes.append(Mistake(str(folder / name), 0, "", f"is not read, did you mean {meant}?"))
            if name in FILES:
                files[name] = (folder / name).read_bytes()
        files |= read_rule_files(folder, mistakes)
    except OSError as error:
        raise ProfileError([Mistake(str(error.filename), 0, "", f"cannot be read: {error.strerror}")]) from error
    mistakes += [Mistake(str(folder / name), 0, "", "is missing") for name in REQUIRED_FILES if name not in files]
    if mistakes:
        raise ProfileError(mistakes)
    return files


def rule_paths(folder: Path) -> Mapping[str, Path]:
    """Where the rules and endpoints of a profile are, by the names that messages give them. Raises OSError."""
    rules = folder / RULES_FOLDER
    present = sorted(rules.iterdir()) if rules.is_dir() else []
    found = [path for path in present if path.suffix == ".yaml" and not path.name.startswith(".") and path.is_file()]
    paths = {f"{RULES_FOLDER}/{path.name}": path for path in found}
    endpoints = folder / ENDPOINTS_FILE
    return {**paths, ENDPOINTS_FILE: endpoints} if endpoints.is_file() else paths


def read_rule_files(folder: Path, mistakes: list[Mistake]) -> ProfileFiles:
    """The rules and endpoints of a profile alone. Raises OSError."""
    rules = folder / RULES_FOLDER
    other = [path for path in sorted(rules.iterdir()) if path.suffix in (".yml", ".json")] if rules.is_dir() else []
    mistakes += [Mistake(str(path), 0, "", f"is not read, did you mean {path.stem}.yaml?") for path in other]
    return {name: path.read_bytes() for name, path in rule_paths(folder).items()}


def profile_version(files: ProfileFiles) -> str:
    """SHA-256 over names and bytes, in the order of the names, each part preceded by its length."""
    digest = hashlib.sha256()
    for name in sorted(name for name in files if name in FILES):
        for part in (name.encode(), files[name]):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def parse_city(
    files: ProfileFiles,
    *,
    event_types: Collection[str] | None = None,
    metrics: Mapping[str, str] | Collection[str] | None = None,
) -> City:
    """The city that the files describe. Raises ProfileError with every mistake that is in them.

    With `event_types` and `metrics` the roster may name no others; a mapping of metrics names the event type that feeds each.
    """
    mistakes = [Mistake(name, 0, "", "is missing") for name in REQUIRED_FILES if name not in files]
    if mistakes:
        raise ProfileError(mistakes)
    city_file = read_city_file(Document("city.yaml", files["city.yaml"], mistakes))
    zone = city_file.settings.zone
    areas, codes = read_areas(files["areas.geojson"], city_file.read_area_code, zone, mistakes)
    types = None if event_types is None else frozenset(event_types)
    vocabulary = Vocabulary(codes, types, metrics if isinstance(metrics, Mapping | None) else frozenset(metrics))
    lines = read_roster(files["assets.csv"], vocabulary, zone, mistakes) if "assets.csv" in files else []
    casework = _casework(files, codes, mistakes)
    if areas is None or mistakes:
        raise ProfileError(mistakes)
    return City(
        profile_version(files),
        city_file.settings,
        city_file.level_names,
        areas,
        Places(areas),
        Roster(lines, areas),
        casework,
    )


def _casework(files: ProfileFiles, areas: Collection[str] | None, mistakes: list[Mistake]) -> Casework:
    def document(name: str) -> Document | None:
        return Document(name, files[name], mistakes) if name in files else None

    in_calendar, in_codes = document("calendar.yaml"), document("codes.yaml")
    in_departments, in_kpis = document("departments.yaml"), document("kpis.yaml")
    calendar = read_calendar(in_calendar) if in_calendar else Calendar()
    codes = read_codes(in_codes, [season.id for season in calendar.seasons]) if in_codes else Codes()
    departments = read_departments(in_departments, codes, areas) if in_departments else ()
    return Casework(calendar, codes, departments, read_kpis(in_kpis) if in_kpis else ())
