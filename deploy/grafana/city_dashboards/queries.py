"""The SQL of panels and variables: read from `sql/`, filled with what all of them share. Called by panels and board. Pure.

`<<mark>>` stands for a text that is put in here; `$…` is Grafana's and stays. Values of variables are quoted by Grafana
(`:sqlstring`), so a name with an apostrophe is a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from city_dashboards.model import Sql
from city_dashboards.words import ALL, SAID, SEVERITIES, SILENT_AFTER_S, Language, Words

FOLDER = Path(__file__).parent / "sql"
_RANGE = "$__unixEpochTo() - $__unixEpochFrom()"
MOST_MINUTES, MOST_HOURS = (
    1500 * 60,
    1500 * 3600,
)  # seconds of a range that are shown in minutes, in hours: as the API's `fitting`


def _by_range(minutes: str, hours: str, days: str) -> str:
    return f"(case when {_RANGE} <= {MOST_MINUTES} then {minutes} when {_RANGE} <= {MOST_HOURS} then {hours} else {days} end)"


_SHARED = {
    "step": _by_range("'1m'", "'1h'", "'1d'"),
    "pause": _by_range(f"interval '{SILENT_AFTER_S} seconds'", "interval '90 minutes'", "interval '36 hours'"),
    "bucket": _by_range("interval '1 hour'", "interval '1 day'", "interval '7 days'"),
    "area": "${area:sqlstring}",
    "in_range": "start >= $__timeFrom() and start < $__timeTo()",
    "silent_after": f"interval '{SILENT_AFTER_S} seconds'",
    "current": "valid_from <= now() and valid_to > now()",
    "below": "below (code) as (select code from v_area where code = <<area>>"
    " union select a.code from v_area a join below b on a.parent = b.code)",
}


def _worded(column: str, words: Mapping[str, Words], language: Language) -> str:
    """A column's words of the code in a language; what has none stays as it is."""
    cases = " ".join(f"when '{code}' then '{one.in_(language)}'" for code, one in words.items())
    return f"(case {column} {cases} else {column} end)"


def written(query: Sql, language: Language) -> str:
    """The text of a query in a language. Raises KeyError for a query or a mark that there is not."""
    family, _, name = query.name.partition("/")
    shared = _SHARED | {"name": f"name_{language}", "lang": language, "all": ALL.in_(language)}
    shared |= {f"said_{column}": _worded(column, SAID, language) for column in ("state", "handling", "kind")}
    shared["said_severity"] = _worded("severity", SEVERITIES, language)
    given = {mark: text.in_(language) if isinstance(text, Words) else text for mark, text in query.given.items()}
    text = _queries(family)[name]
    for _ in range(2):  # a shared text may hold a mark
        text = re.sub(r"<<(\w+)>>", lambda found: (shared | given)[found[1]], text)
    return text


@cache
def _queries(family: str) -> Mapping[str, str]:
    """The queries of a file by name."""
    found: dict[str, str] = {}
    for part in (FOLDER / f"{family}.sql").read_text("utf-8").split("-- name: ")[1:]:
        name, _, text = part.partition("\n")
        lines = [line for line in text.strip().splitlines() if not line.lstrip().startswith("--")]
        found[name.strip()] = "\n".join(lines)
    return MappingProxyType(found)
