"""Where a click leads: down the levels of areas, to an asset, to another dashboard, into the API. Called by panels, board. Pure.

Links stay in the language of their dashboard and keep the range of time.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

from city_dashboards.words import Language, Words

_TAG = "citybrain"
_LEVELS = ("district", "street", "community", "grid")
_SPAN = "from=${__from:date:iso}&to=${__to:date:iso}"
_OTHER: dict[Language, Language] = {"zh": "en", "en": "zh"}


def uid(board: str, language: Language) -> str:
    """Of a dashboard: it never changes, for people keep links to it."""
    return f"citybrain-{board}-{language}"


def data_link(name: str, board: str, language: Language) -> dict[str, object]:
    """A link of a value by name: `area`, `asset`, `alert`, `silence`, or `series:METRIC`. Raises KeyError for another one."""
    kind, _, metric = name.partition(":")
    below = "&".join(f"var-{level}=${{__data.fields.{level}}}" for level in _LEVELS)
    asset = "var-subject=${__data.fields.subject:percentencode}"
    title, url = {
        "area": (Words("Go down", "下钻"), f"/d/{uid(board, language)}?${{city:queryparam}}&{below}&${{__url_time_range}}"),
        "asset": (
            Words("This asset", "查看部件"),
            f"/d/{uid('asset', language)}?{asset}&var-metric=${{__data.fields.measured}}&${{__url_time_range}}",
        ),
        "subject": (Words("This asset", "查看部件"), f"/d/{uid('asset', language)}?{asset}&${{__url_time_range}}"),
        "alert": (Words("The alert in the API", "在API中查看告警"), "${api}/v1/alerts/${__data.fields.alert_id}"),
        "silence": (
            Words("Its silences in the API", "在API中查看静默"),
            f"${{api}}/v1/assets/${{subject:percentencode}}/holes?{_SPAN}",
        ),
        "series": (
            Words("The figures in the API", "在API中查看数据"),
            f"${{api}}/v1/series?metric={metric}&area=${{area}}&{_SPAN}",
        ),
    }[kind]
    return {"title": title.in_(language), "url": url, "targetBlank": kind in {"alert", "silence", "series"}}


def board_links(board: str, language: Language) -> list[DashboardLink]:
    """At the top of a dashboard: all the others, and the same one in the other language."""
    other = _OTHER[language]
    return [
        DashboardLink(Words("Dashboards", "仪表盘").in_(language))
        .type(DashboardLinkType.DASHBOARDS)
        .tags([_TAG, language])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True),
        DashboardLink(Words("English", "中文").in_(other))
        .type(DashboardLinkType.LINK)
        .url(f"/d/{uid(board, other)}")
        .icon("external link")
        .include_vars(True)
        .keep_time(True),
    ]


def tags(language: Language) -> list[str]:
    """What the list of dashboards is found by."""
    return [_TAG, language]
