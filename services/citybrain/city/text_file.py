"""Own how the bytes of a profile file become text. Called by the readers of YAML, JSON and CSV files. Pure."""

from __future__ import annotations

from citybrain.city.mistakes import Mistake


def decode(file: str, data: bytes, mistakes: list[Mistake]) -> str | None:
    """The text of a UTF-8 file, without its byte order mark; None, and a mistake more, when it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        mistakes.append(Mistake(file, line, "", f"is not UTF-8 (byte {data[error.start]:#04x})"))
        return None


def join_surrogates(text: str) -> str:
    """The text with characters put together that JSON escapes wrote as two halves; ValueError for a half alone."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError("holds half a character (a lone surrogate)") from None
