"""The pictures of dashboards: there, whole, small, shown and explained, and drawn anew from a city that is seeded here."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dashboards import documents
from pictures import drawing, texts
from postgres import Databases, fresh_database
from seeding import seed

ROOT = Path(__file__).resolve().parents[2]
PICTURES = sorted((ROOT / "docs" / "pictures").glob("dashboard-*.svg"))
MOST_BYTES = 300_000


def titles(file: str) -> set[str]:
    """Of a dashboard's panels that name no variable."""
    return {panel["title"] for panel in documents()[file]["panels"] if "$" not in panel["title"] and panel["type"] != "row"}


def test_every_dashboard_has_a_picture_and_all_of_them_are_small() -> None:
    boards = {file.partition("/")[2].removesuffix(".json") for file in documents()}
    assert {path.name.split(".")[0].removeprefix("dashboard-") for path in PICTURES} == boards
    assert sum(path.stat().st_size for path in PICTURES) < MOST_BYTES


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_shows_every_panel_of_its_dashboard(path: Path) -> None:
    language = "zh" if path.name.endswith(".zh.svg") else "en"
    board = path.name.split(".")[0].removeprefix("dashboard-")
    svg = path.read_text("utf-8")
    assert titles(f"{language}/{board}.json") <= set(texts(svg)), "has drifted: run docs/draw_dashboards.py or draw_pipeline.py"
    assert "href" not in svg
    assert "font-family" not in svg or "sans-serif" in svg


def test_the_pages_show_them_and_say_that_they_are_drawn() -> None:
    page = (ROOT / "docs" / "howto" / "dashboards.md").read_text("utf-8")
    assert {f"../pictures/{path.name}" for path in PICTURES if ".zh." not in path.name} <= set(re.findall(r"\]\((\S+)\)", page))
    assert "drawn from the same queries" in page
    assert "no screenshot" in (ROOT / "README.md").read_text("utf-8")
    assert "不是截图" in (ROOT / "README.zh-CN.md").read_text("utf-8")


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_they_are_drawn_from_the_rows_of_their_queries(databases: Databases) -> None:
    module, end = drawing("draw_dashboards"), datetime(2026, 11, 23, 10, tzinfo=UTC)
    async with fresh_database(databases) as dsn:
        await seed(dsn, end, 3)
        found = await module.plates(dsn, end)
    assert set(found) == {path.name for path in PICTURES} - {"dashboard-pipeline.svg"}  # tests/e2e/test_prometheus.py
    overview = texts(found["dashboard-overview.zh.svg"])
    assert {"城市总览", "塔湾区", "石窑区", "紧急"} <= set(overview)
    assert any(re.fullmatch(r"\d+(\.\d)?%", text) for text in overview)
    asset = found["dashboard-asset.svg"]
    assert len(re.findall(r'class="line"', asset)) == 2, "a silence parts the line"
