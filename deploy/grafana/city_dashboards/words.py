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
