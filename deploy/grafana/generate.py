"""Write deploy/grafana/dashboards: `python deploy/grafana/generate.py`. A test compares, so that no file drifts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from city_dashboards.files import files
from city_dashboards.variables import API_URL

FOLDER = Path(__file__).resolve().parent / "dashboards"


def main() -> None:
    """Every dashboard in every language."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", default=API_URL, metavar="URL", help="where people's browsers reach the API (%(default)s)")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="where the files go")
    asked = parser.parse_args()
    found = files(asked.api)
    for path, text in found.items():
        (asked.out / path.parent).mkdir(parents=True, exist_ok=True)
        (asked.out / path).write_text(text, "utf-8")
    sys.stdout.write(f"wrote {len(found)} dashboards to {asked.out}\n")


if __name__ == "__main__":
    main()
