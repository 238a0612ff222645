"""Draw areas.geojson of the demonstration city: run it in this folder after a change of the plan below, and commit the result.

Nobody calls it at run time. The shapes are generated from a fixed seed: corners of a 10 x 6 lattice are moved a little, so
that unit grids are irregular and still meet without gaps; everything above a grid is the union of what lies in it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import shapely

WEST, SOUTH, WIDTH, HEIGHT = 109.4700, 36.5800, 0.0030, 0.0024
COLUMNS, ROWS, JITTER, SEED = 10, 6, 0.28, 610600
CITY = ("610600", "Anluo", "安洛市")
DISTRICTS = {"610602": ("Tawan District", "塔湾区"), "610603": ("Shiyao District", "石窑区")}
STREETS = {
    "610602001": ("Nanmen Street", "南门街道"),
    "610602002": ("Gulou Street", "鼓楼街道"),
    "610602003": ("Heping Street", "和平街道"),
    "610603001": ("Beiyuan Street", "北塬街道"),
    "610603002": ("Liushu Street", "柳树街道"),
}
# Code: names, columns and rows of the lattice (rows from the north), ends not included.
COMMUNITIES = {
    "610602001001": ("Nanmen", "南门社区", (0, 2), (0, 2)),
    "610602001002": ("Dongpo", "东坡社区", (0, 2), (2, 4)),
    "610602001003": ("Xigou", "西沟社区", (0, 2), (4, 6)),
    "610602002001": ("Gulou", "鼓楼社区", (2, 4), (0, 3)),
    "610602002002": ("Shuncheng", "顺城社区", (2, 4), (3, 6)),
    "610602003001": ("Heping", "和平社区", (4, 6), (0, 4)),
    "610602003002": ("Qiaotou", "桥头社区", (4, 6), (4, 6)),
    "610603001001": ("Beiyuan", "北塬社区", (6, 8), (0, 2)),
    "610603001002": ("Zaoyuan", "枣园社区", (6, 8), (2, 4)),
    "610603001003": ("Yangwan", "阳湾社区", (6, 8), (4, 6)),
    "610603002001": ("Liushu", "柳树社区", (8, 10), (0, 3)),
    "610603002002": ("Shangping", "上坪社区", (8, 10), (3, 6)),
}
Corners = dict[tuple[int, int], tuple[float, float]]


def corners() -> Corners:
    """The lattice's corners by column and row from the north; those inside are moved."""
    dice = random.Random(SEED)  # noqa: S311  # a drawing, no secret
    found: Corners = {}
    for column in range(COLUMNS + 1):
        for row in range(ROWS + 1):
            inside = 0 < column < COLUMNS and 0 < row < ROWS
            east, south = (dice.uniform(-JITTER, JITTER) if inside else 0.0 for _ in range(2))
            lon, lat = WEST + (column + east) * WIDTH, SOUTH + (ROWS - row - south) * HEIGHT
            found[column, row] = round(lon, 6), round(lat, 6)
    return found


def grids(place: Corners) -> Iterator[tuple[str, shapely.Polygon]]:
    """Code and shape of each unit grid, numbered west to east, north to south inside its community."""
    for community, (_, _, columns, rows) in COMMUNITIES.items():
        cells = [(column, row) for row in range(*rows) for column in range(*columns)]
        for number, (column, row) in enumerate(cells, 1):
            around = [(column, row), (column, row + 1), (column + 1, row + 1), (column + 1, row)]
            yield f"{community}{number:03}", shapely.Polygon([place[corner] for corner in around])


def features() -> Iterator[dict[str, object]]:
    """The city first, the grids last."""
    shapes = dict(grids(corners()))

    def feature(code: str, level: str, en: str, zh: str, parent: str | None) -> dict[str, object]:
        shape = shapely.unary_union([one for grid, one in shapes.items() if parent is None or grid.startswith(code)])
        geometry = json.loads(shapely.to_geojson(shapely.orient_polygons(shape)))
        properties = {"code": code, "level": level, "name": {"en": en, "zh": zh}, "parent": parent}
        return {"type": "Feature", "properties": properties, "geometry": geometry}

    yield feature(CITY[0], "city", CITY[1], CITY[2], None)
    for code, (en, zh) in DISTRICTS.items():
        yield feature(code, "district", en, zh, CITY[0])
    for code, (en, zh) in STREETS.items():
        yield feature(code, "street", en, zh, code[:6])
    for code, (en, zh, _, _) in COMMUNITIES.items():
        yield feature(code, "community", f"{en} Community", zh, code[:9])
    for code in shapes:
        en, zh, _, _ = COMMUNITIES[code[:12]]
        yield feature(code, "grid", f"{en} grid {int(code[12:])}", f"{zh}{int(code[12:])}号网格", code[:12])


def main() -> None:
    """Write the file, one feature a line."""
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in features())
    target = Path(__file__).with_name("areas.geojson")
    target.write_text(f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
