"""Every dashboard in every language by the path of its file. Called by generate.py and the tests. Pure."""

from __future__ import annotations

from pathlib import PurePosixPath

from city_dashboards import alerts, asset, enforcement, overview, parking, pipeline, sanitation, utilities
from city_dashboards.board import dashboard_json
from city_dashboards.model import Board
from city_dashboards.variables import API_URL
from city_dashboards.words import LANGUAGES

BOARDS: tuple[Board, ...] = (
    overview.BOARD,
    parking.BOARD,
    utilities.BOARD,
    enforcement.BOARD,
    sanitation.BOARD,
    alerts.BOARD,
    asset.BOARD,
    pipeline.BOARD,
)


def files(api_url: str = API_URL) -> dict[PurePosixPath, str]:
    """LANGUAGE/NAME.json to its text."""
    return {
        PurePosixPath(language, f"{board.name}.json"): dashboard_json(board, language, api_url)
        for language in LANGUAGES
        for board in BOARDS
    }
