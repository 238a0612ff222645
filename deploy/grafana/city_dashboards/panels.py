"""Panels as Grafana's own types. Called by board; says nothing about what a dashboard shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from grafana_foundation_sdk.builders import geomap, stat, table, timeseries
from grafana_foundation_sdk.builders.common import (
    MapLayerOptions,
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery as PrometheusQuery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.geomap import TooltipMode

from city_dashboards.links import data_link
from city_dashboards.model import Column, Limits, Panel, Prom, Shape, Sql
from city_dashboards.queries import written
from city_dashboards.words import SILENT_AFTER_S, Language

PROMETHEUS = dashboard.DataSourceRef(type_val="prometheus", uid="prometheus")
VIEWS = dashboard.DataSourceRef(type_val="grafana-postgresql-datasource", uid="citybrain-views")
Made = timeseries.Panel | stat.Panel | table.Panel | geomap.Panel


class SqlTarget(Dataquery):
    """A query of Grafana's PostgreSQL data source, which its kit has no type of."""

    def __init__(self, text: str, form: str) -> None:
        self.text, self.form = text, form

    def to_json(self) -> dict[str, object]:
        """As the data source reads it."""
        return {
            "refId": "A",
            "datasource": VIEWS,
            "editorMode": "code",
            "format": self.form,
            "rawQuery": True,
            "rawSql": self.text,
        }


class _Target(Builder[Dataquery]):
    """Hands a query to a panel's builder."""

    def __init__(self, query: Dataquery) -> None:
        self._query = query

    def build(self) -> Dataquery:
        return self._query


class _Place(Builder[common.FrameGeometrySource]):
    """Where a row of a map's query lies."""

    def build(self) -> common.FrameGeometrySource:
        mode = common.FrameGeometrySourceMode.COORDS
        return common.FrameGeometrySource(mode=mode, latitude="latitude", longitude="longitude")


def build(panel: Panel, board: str, language: Language, place: dashboard.GridPos, number: int) -> Made:
    """One panel at its place."""
    made = _FORMS[panel.shape](panel, language)
    made.title(panel.title.in_(language)).description(panel.about.in_(language)).id(number).grid_pos(place)
    made.unit(panel.unit).thresholds(_thresholds(panel.limits)).no_value(panel.empty.in_(language))
    made.datasource(VIEWS if isinstance(panel.query, Sql) else PROMETHEUS).targets(_targets(panel, language))
    if panel.least is not None:
        made.min(panel.least)
    if panel.most is not None:
        made.max(panel.most)
    overrides = [_override(panel.shape, column, board, language) for column in panel.columns]
    if panel.link is not None:
        links: dict[str, object] = {"id": "links", "value": [data_link(panel.link, board, language)]}
        overrides.append((dashboard.MatcherConfig(id_val="byType", options="number"), [_value(links)]))
    for matcher, properties in overrides:
        made.with_override(matcher, properties)
    return made


def _targets(panel: Panel, language: Language) -> list[Builder[Dataquery]]:
    if isinstance(panel.query, Sql):
        form = "time_series" if panel.shape in {"chart", "bars"} else "table"
        return [_Target(SqlTarget(written(panel.query, language), form))]
    return [_prometheus(one, chr(ord("A") + n), panel.shape) for n, one in enumerate(panel.query)]


def _prometheus(one: Prom, letter: str, shape: str) -> Builder[Dataquery]:
    query = PrometheusQuery().expr(one.expr).legend_format(one.legend).ref_id(letter).datasource(PROMETHEUS)
    return _Target((query.instant() if shape == "stat" else query.range()).build())


def _chart(panel: Panel, _language: Language) -> timeseries.Panel:
    """Lines. What was not reported is not drawn: rows without a value end a line, and no line spans a silence."""
    made = _series().line_width(2).fill_opacity(8).show_points(common.VisibilityMode.AUTO)
    return made.span_nulls(SILENT_AFTER_S * 1000 if isinstance(panel.query, Sql) else False)


def _bars(panel: Panel, _language: Language) -> timeseries.Panel:
    stacked = StackingConfig().mode(common.StackingMode.NORMAL).group("A")
    return _series().draw_style(common.GraphDrawStyle.BARS).fill_opacity(80).line_width(0).stacking(stacked)


def _series() -> timeseries.Panel:
    legend = VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).placement(common.LegendPlacement.BOTTOM)
    tooltip = VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    colour = FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)
    return timeseries.Panel().legend(legend.show_legend(True)).tooltip(tooltip).color_scheme(colour)


def _stat(panel: Panel, _language: Language) -> stat.Panel:
    """The last figure. A query without a row is no zero: the panel says that there is nothing."""
    reduce = ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    made = stat.Panel().reduce_options(reduce).graph_mode(common.BigValueGraphMode.NONE)
    several = len(panel.columns) > 1 or not isinstance(panel.query, Sql)
    made.text_mode(common.BigValueTextMode.VALUE_AND_NAME if several else common.BigValueTextMode.VALUE)
    return made.color_mode(common.BigValueColorMode.VALUE).color_scheme(_by_thresholds())


def _table(_panel: Panel, _language: Language) -> table.Panel:
    return table.Panel().cell_height(common.TableCellHeight.SM).color_scheme(_by_thresholds())


def _map(panel: Panel, language: Language) -> geomap.Panel:
    """A circle an area: as large as there are open alerts, coloured by the severe ones, with its name."""
    style = {
        "size": {"field": "alerts", "fixed": 8, "min": 8, "max": 22},
        "color": {"field": "severe", "fixed": "green"},
        "text": {"field": "name", "fixed": "", "mode": "field"},
        "textConfig": {"fontSize": 12, "offsetX": 0, "offsetY": -18, "textAlign": "center", "textBaseline": "middle"},
        "opacity": 0.7,
        "symbol": {"fixed": "img/icons/marker/circle.svg", "mode": "fixed"},
    }
    layer = MapLayerOptions().type("markers").name(panel.title.in_(language)).location(_Place()).tooltip(True)
    layer.config({"showLegend": False, "style": style})
    basemap = MapLayerOptions().type("default").name("basemap").config({})
    view = geomap.MapViewConfig().id("fit").lat(0).lon(0).zoom(12).all_layers(True).padding(10)
    controls = geomap.ControlsOptions().show_zoom(True).mouse_wheel_zoom(False).show_attribution(True).show_scale(True)
    made = geomap.Panel().basemap(basemap).layers([layer]).view(view).controls(controls).color_scheme(_by_thresholds())
    return made.tooltip(geomap.TooltipOptions().mode(TooltipMode.DETAILS))


def _by_thresholds() -> FieldColor:
    return FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS)


def _thresholds(limits: Limits) -> ThresholdsConfig:
    steps = [dashboard.Threshold(value, colour) for value, colour in limits]
    return ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _override(
    shape: Shape, column: Column, board: str, language: Language
) -> tuple[dashboard.MatcherConfig, list[dashboard.DynamicConfigValue]]:
    """How a column looks."""
    found: list[dict[str, object]] = []
    if column.title is None:
        nowhere = {"legend": True, "tooltip": True, "viz": False}  # a map draws by what it does not tell
        found.append({"id": "custom.hideFrom", "value": nowhere} if shape == "map" else {"id": "custom.hidden", "value": True})
    else:
        found.append({"id": "displayName", "value": column.title.in_(language)})
    if column.unit is not None:
        found.append({"id": "unit", "value": column.unit})
    if column.limits is not None:
        found.append({"id": "thresholds", "value": _thresholds(column.limits).build()})
        found.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    if column.link is not None:
        found.append({"id": "links", "value": [data_link(column.link, board, language)]})
    if column.width is not None:
        found.append({"id": "custom.width", "value": column.width})
    return dashboard.MatcherConfig(id_val="byName", options=column.name), [_value(one) for one in found]


def _value(one: dict[str, object]) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(str(one["id"]), one["value"])


_FORMS: Mapping[Shape, Callable[[Panel, Language], Made]] = MappingProxyType(
    {"chart": _chart, "bars": _bars, "stat": _stat, "table": _table, "map": _map}
)
