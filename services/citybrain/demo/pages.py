"""Pages in words: one line for each alert of a webhook, in Chinese or English. Called by receiver and play. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

Language = Literal["en", "zh"]
_KINDS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "alert.firing": ("FIRING", "告警"),
    "alert.resolved": ("RESOLVED", "恢复"),
    "alert.updated": ("STILL FIRING", "持续"),
    "alert.escalated": ("ESCALATED", "升级"),
})  # fmt: skip
_RETRACTED = ("RETRACTED", "撤回")
_SEVERITIES: Mapping[str, tuple[str, str]] = MappingProxyType({
    "info": ("info", "提示"),
    "warning": ("warning", "一般"),
    "major": ("major", "重要"),
    "critical": ("critical", "紧急"),
})  # fmt: skip
_STYLES: Mapping[str, str] = MappingProxyType(
    {"alert.firing": "bold red", "alert.escalated": "bold red", "alert.resolved": "green"}
)


def language_of(environment: Mapping[str, str]) -> Language:
    """The language of a terminal, as its locale says."""
    locale = environment.get("LC_ALL") or environment.get("LC_MESSAGES") or environment.get("LANG") or ""
    return "zh" if locale.lower().startswith("zh") else "en"


def style_of(webhook: Mapping[str, Any]) -> str:
    """How a page is coloured."""
    return _STYLES.get(str(webhook.get("type")), "yellow")


def lines_of(webhook: Mapping[str, Any], endpoint: str, at: datetime, language: Language) -> list[str]:
    """What the people at an endpoint read. A test of an endpoint is a line, too."""
    data = webhook["data"]
    begin = f"{at:%H:%M:%S} → {endpoint}"
    if "alerts" not in data:
        return [f"{begin} · {webhook['type']}"]
    lines = [f"{begin} · {_alert(webhook['type'], one, language)}" for one in data["alerts"]]
    if data.get("truncated"):
        lines.append(f"{begin} · " + (f"另有 {data['truncated']} 条" if language == "zh" else f"and {data['truncated']} more"))
    return lines


def _alert(kind: str, alert: Mapping[str, Any], language: Language) -> str:
    zh = language == "zh"
    word = _RETRACTED if alert["state"] == "retracted" else _KINDS.get(kind, (kind, kind))
    severity = _SEVERITIES.get(alert["severity"], (alert["severity"], alert["severity"]))
    title, summary = (_in(alert[name], language) for name in ("title", "summary"))
    text = title if summary == title else f"{title}：{summary}" if zh else f"{title}: {summary}"
    verified = "签名已验证" if zh else "signature verified"
    return f"{word[zh]} · {severity[zh]} · {text} · {verified}"


def _in(texts: Mapping[str, str], language: Language) -> str:
    return texts.get(language) or next(iter(texts.values()), "")


def refused_line(at: datetime, language: Language) -> str:
    """For a request whose signature is not the city's."""
    why = "拒收：签名不符" if language == "zh" else "refused a request: the signature is not the city's"
    return f"{at:%H:%M:%S} · {why}"


def announcement(quiet: str, language: Language) -> str:
    """What is about to be shown, and what of it is staged."""
    if language == "zh":
        return (
            "以下是各值班席收到的告警，每个 webhook 的签名都经过验证。"
            f"演示安排：{quiet} 将停止上报，告警送达后恢复上报（演示规则 demo_meter_silent：30 秒无数据）。"
        )
    return (
        "Pages appear here as duty desks receive them; the signature of each webhook is verified.\n"
        f"Staged: {quiet} stops speaking until its silence was paged, then speaks again (rule demo_meter_silent: 30 seconds)."
    )
