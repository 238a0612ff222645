"""Draw docs/pictures of Grafana's dashboards: `python docs/draw_dashboards.py`. Grafana itself is not at hand.

A city is seeded as the tests of dashboards do it, with fewer days, and each panel is drawn from the rows of its own query. So the
pictures show what Grafana shows, not how it looks to the pixel. The pipeline's dashboard asks Prometheus: draw_pipeline.py.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "docs")]

from drawing.page import Told, picture  # noqa: E402

from citybrain.store.embedded import embedded_postgres  # noqa: E402
from citybrain.store.migrate import migrate  # noqa: E402
from dashboards import Asked, choices, documents, expand, within  # noqa: E402 - the tests' own way to read dashboards
from seeding import seed  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
DAYS = 40
END = datetime(2026, 11, 23, 10, tzinfo=UTC)  # 18:00 in the city
_SUBJECT = {"subject": "lot-003", "metric": "parking.occupied_ratio", "medium": "-"}


@dataclass(frozen=True, slots=True)
class Plate:
    """One picture: a dashboard in a language, what is chosen, how many days are shown."""

    file: str
    chosen: Mapping[str, str]
    days: float

    @property
    def name(self) -> str:
        """As pictures of the Chinese page are named: NAME.zh.svg."""
        language, _, board = self.file.removesuffix(".json").partition("/")
        return f"dashboard-{board}{'.zh' * (language == 'zh')}.svg"


_CITY = choices("610600", **_SUBJECT)
PLATES = (
    Plate("en/overview.json", _CITY, 1),
    Plate("zh/overview.json", _CITY, 1),
    Plate("en/parking.json", choices("610600", "610602", **_SUBJECT), 7),
    Plate("en/utilities.json", _CITY, 2),
    Plate("en/enforcement.json", _CITY, 30),
    Plate("en/sanitation.json", choices("610600", "610603", **_SUBJECT), 7),
    Plate("en/alerts.json", _CITY, 7),
    Plate("en/asset.json", _CITY, 2),
)
_SHAPES = "select geometry::text from v_area where parent = $1 and valid_to > now() order by code"
_NAME = "select {name} from v_area where code = $1 and valid_to > now()"


async def plates(dsn: str, end: datetime, wanted: Sequence[Plate] = PLATES) -> dict[str, str]:
    """Every picture by the name of its file."""
    connection = await asyncpg.connect(dsn, timeout=20)
    try:
        return {one.name: await _plate(connection, one, end) for one in wanted}
    finally:
        await connection.close(timeout=5)


async def _plate(connection: asyncpg.Connection[asyncpg.Record], plate: Plate, end: datetime) -> str:
    document = documents()[plate.file]
    language = plate.file.partition("/")[0]
    asked = within(Asked(end, end, plate.chosen), plate.days)
    rows: dict[int, Sequence[dict[str, Any]]] = {}
    for panel in document["panels"]:
        if panel["type"] != "row":
            found = await connection.fetch(expand(panel["targets"][0]["rawSql"], asked))
            rows[panel["id"]] = [dict(row) for row in found]
    shapes = [row["geometry"] for row in await connection.fetch(_SHAPES, plate.chosen["area"])]
    chosen = await connection.fetchval(_NAME.format(name=f"name_{language}"), plate.chosen["area"])
    if plate.file.endswith("asset.json"):
        chosen = plate.chosen["subject"]
        for panel in document["panels"]:
            panel["title"] = (
                panel["title"].replace("$subject", plate.chosen["subject"]).replace("$metric", plate.chosen["metric"])
            )
    return picture(Told(document, rows, shapes, chosen, asked.begin, asked.end, language))


async def _drawn(folder: Path) -> dict[str, str]:
    async with embedded_postgres(folder) as postgres:
        await migrate(postgres.dsn)
        await seed(postgres.dsn, END, DAYS)
        return await plates(postgres.dsn, END)


def main() -> None:
    """Seed, ask, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURES, metavar="DIR", help="where the pictures go")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_drawn(Path(folder) / "city"))
    out.mkdir(parents=True, exist_ok=True)
    for name, text in found.items():
        (out / name).write_text(text, "utf-8")
    sys.stdout.write(f"wrote {len(found)} pictures, {sum(map(len, map(str.encode, found.values()))):,} bytes, to {out}\n")


if __name__ == "__main__":
    main()
