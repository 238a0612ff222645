"""The city profile: its files read and checked, its areas, places and roster. Every role uses it.

Sits below the roles and above nothing but citybrain.errors. Knows no database, no HTTP, no clock.
"""

from citybrain.city.areas import LEVELS, Area, Areas, Level
from citybrain.city.city_file import CitySettings
from citybrain.city.literals import Name
from citybrain.city.mistakes import Mistake, ProfileError
from citybrain.city.places import Places
from citybrain.city.profile import (
    ENDPOINTS_FILE,
    FILES,
    RULES_FOLDER,
    Casework,
    City,
    ProfileFiles,
    default_city_folder,
    parse_city,
    profile_version,
    read_folder,
    read_rule_files,
    rule_paths,
)
from citybrain.city.roster import AssetFacts, Roster, RosterLine
from citybrain.city.validity import Validity

__all__ = [
    "ENDPOINTS_FILE",
    "FILES",
    "LEVELS",
    "RULES_FOLDER",
    "Area",
    "Areas",
    "AssetFacts",
    "Casework",
    "City",
    "CitySettings",
    "Level",
    "Mistake",
    "Name",
    "Places",
    "ProfileError",
    "ProfileFiles",
    "Roster",
    "RosterLine",
    "Validity",
    "default_city_folder",
    "parse_city",
    "profile_version",
    "read_folder",
    "read_rule_files",
    "rule_paths",
]
