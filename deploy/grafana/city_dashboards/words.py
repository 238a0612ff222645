"""Texts in both languages, and the few that every dashboard uses. Used by every module of dashboards. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


class Words(NamedTuple):
    """The same in English and in Chinese."""

    en: str
    zh: str

    def in_(self, language: Language) -> str:
        """In one of them."""
        return self.en if language == "en" else self.zh


ALL = Words("all", "全部")
NO_READING = Words("no reading", "无数据")
NONE = Words("none", "无")
SILENT_AFTER_S = 2700
SILENCE = Words(
    "Silence is not zero: a line breaks after 45 minutes without a reading, 90 in steps of an hour, 36 hours in days.",
    "静默不是零：超过45分钟（按小时为90分钟，按日为36小时）没有读数时，曲线断开。",
)
STEPS = Words(
    "Up to 25 hours show minutes, up to 62 days hours, longer ranges days; hours and days appear once they are over.",
    "25小时以内按分钟，62天以内按小时，更长按日显示；小时和日在结束之后出现。",
)
BARS = Words("Bars are hours up to 25 hours, days up to 62 days, weeks beyond.", "25小时以内按小时，62天以内按日，更长按周。")
SEVERITIES: dict[str, Words] = {
    "critical": Words("critical", "紧急"),
    "major": Words("major", "严重"),
    "warning": Words("warning", "一般"),
    "info": Words("info", "提示"),
}
SAID: dict[str, Words] = {
    "open": Words("open", "未确认"),
    "acknowledged": Words("acknowledged", "已确认"),
    "unacknowledged": Words("unacknowledged", "撤销确认"),
    "closed": Words("closed", "已关闭"),
    "firing": Words("firing", "触发"),
    "recovering": Words("recovering", "恢复中"),
    "resolved": Words("resolved", "已恢复"),
    "retracted": Words("retracted", "已撤回"),
    "revised": Words("revised", "已修订"),
    "commented": Words("commented", "备注"),
    "escalated": Words("escalated", "已升级"),
    "notified": Words("notified", "已通知"),
    "not_notified": Words("not notified", "未通知"),
    "delivered": Words("delivered", "已送达"),
    "waiting": Words("waiting", "等待"),
    "gave_up": Words("given up", "已放弃"),
    "cancelled": Words("cancelled", "已取消"),
}
