"""A dashboard as JSON in a language: rows laid out, variables, marks of alerts, links. Called by files. Pure."""

from __future__ import annotations

import json

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    ConstantVariable,
    CustomVariable,
    Dashboard,
    QueryVariable,
    Row,
    TextBoxVariable,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from city_dashboards.links import board_links, tags, uid
from city_dashboards.model import Board, Panel, Sql, Variable
from city_dashboards.panels import PROMETHEUS, VIEWS, SqlTarget, build
from city_dashboards.queries import written
from city_dashboards.variables import API_URL
from city_dashboards.words import Language, Words

COLUMNS = 24


def dashboard_json(board: Board, language: Language, api_url: str = API_URL) -> str:
    """The file that Grafana reads; equal definitions give equal bytes."""
    made = Dashboard(board.title.in_(language)).uid(uid(board.name, language)).description(board.about.in_(language))
    made.tags(tags(language)).time(board.since, "now").refresh(board.refresh).timezone("browser").readonly()
    made.tooltip(dashboard.DashboardCursorSync.CROSSHAIR).variables(
        [_variable(one, language, api_url) for one in board.variables]
    )
    made.links(list(board_links(board.name, language)))
    _lay(made, board, language)
    document = json.loads(JSONEncoder(sort_keys=True).encode(made.build()))
    document["annotations"] = {"list": [_alerts(language)] if board.alerts else []}
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _lay(made: Dashboard, board: Board, language: Language) -> None:
    """Rows one below the other; a panel that does not fit beside the last one begins a new line."""
    y, number = 0, 1
    for row in board.rows:
        place = dashboard.GridPos(h=1, w=COLUMNS, x=0, y=y)
        made.with_row(Row(row.title.in_(language)).id(number).grid_pos(place))
        y, number = y + 1, number + 1
        for panel, x, down in _places(row.panels):
            place = dashboard.GridPos(h=panel.height, w=panel.width, x=x, y=y + down)
            made.with_panel(build(panel, board.name, language, place, number))
            number += 1
        y += max(down + panel.height for panel, _, down in _places(row.panels))


def _places(panels: tuple[Panel, ...]) -> list[tuple[Panel, int, int]]:
    """Each panel with its column, and how far below its row's beginning it lies."""
    found: list[tuple[Panel, int, int]] = []
    x = down = tallest = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, down, tallest = 0, down + tallest, 0
        found.append((panel, x, down))
        x, tallest = x + panel.width, max(tallest, panel.height)
    return found


def _variable(one: Variable, language: Language, api_url: str) -> Builder[dashboard.VariableModel]:
    label = one.title.in_(language)
    hide = dashboard.VariableHide.HIDE_VARIABLE if one.hidden else dashboard.VariableHide.DONT_HIDE
    if one.query is not None:
        made = QueryVariable(one.name).label(label).hide(hide).query(variable_sql(one, language)).datasource(VIEWS)
        made.refresh(dashboard.VariableRefresh.ON_DASHBOARD_LOAD).sort(dashboard.VariableSort.DISABLED)
        made.build().skip_url_sync = one.hidden  # it follows from the others
        return made
    if one.options:
        first, text = one.options[0]
        options = ",".join(f"{words.in_(language)} : {value}" for value, words in one.options)
        current = dashboard.VariableOption(text=text.in_(language), value=first)
        return CustomVariable(one.name).label(label).values(options).current(current)
    if one.fixed is not None:
        value = api_url if one.name == "api" else one.fixed
        return ConstantVariable(one.name).label(label).value(value)
    return TextBoxVariable(one.name).label(label).default_value("")


def variable_sql(one: Variable, language: Language) -> str:
    """The query of a variable: FILE/NAME, and for levels of areas the level and the variable above it."""
    name, *given = (one.query or "").split(":")
    return written(Sql(name, dict(zip(("level", "above"), given, strict=False))), language)


def _alerts(language: Language) -> dict[str, object]:
    """Severe alerts of the area as marks: a query of SQL, which the kit's type of annotations has no field for."""
    name = Words("Alerts", "告警").in_(language)
    made = AnnotationQuery().name(name).datasource(VIEWS).enable(True).icon_color("red").build()
    target = SqlTarget(written(Sql("alerts/annotation"), language), "table")
    document: dict[str, object] = json.loads(JSONEncoder().encode(made))
    return document | {"target": json.loads(JSONEncoder().encode(target))}


__all__ = ["COLUMNS", "PROMETHEUS", "dashboard_json", "variable_sql"]
