"""Own how endpoints.yaml is read: syntax alone, whether a URL may be reached is for citybrain.endpoints to say. Called by
citybrain.profiles. Pure: the environment is an argument. A secret is never part of a message or of what is printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from citybrain.city.mistakes import Mistake, ProfileError
from citybrain.city.yaml_document import Document, Node
from citybrain.endpoints.secret import PREFIX, SecretRefused, key_of
from citybrain.rulebook.words import one_of, read_flag

FILE = "endpoints.yaml"
Format = Literal["citybrain", "wecom", "dingtalk", "feishu"]
Language = Literal["zh", "en"]
FORMATS: tuple[Format, ...] = get_args(Format)
LANGUAGES: tuple[Language, ...] = get_args(Language)
LONGEST_URL = 2048
LONGEST_NAME = 64
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(re.escape(PREFIX) + r"\S+")


@dataclass(frozen=True, slots=True)
class EndpointLine:
    """A receiver of webhooks. Without a secret, and without a variable that holds it, the one it has is kept, or one is made."""

    name: str
    url: str = field(repr=False)  # that of a group robot holds its key
    format: Format
    default: bool
    language: Language
    heartbeat: bool
    secret: str | None = field(repr=False)
    variable: str | None  # of the environment, holds the secret
    line: int
    column: int


def read_endpoints(document: Document, mistakes: list[Mistake]) -> tuple[EndpointLine, ...]:
    """endpoints.yaml; `mistakes` is the document's list."""
    before = len(mistakes)
    found: dict[str, EndpointLine] = {}
    for item in document.items(document.fields(document.root, ("endpoints",)).get("endpoints")):
        line = _endpoint(document, item, found)
        found.setdefault(line.name, line)
    mistakes[before:] = [
        replace(one, field=_SECRET.sub("…", one.field), problem=_SECRET.sub("…", one.problem)) for one in mistakes[before:]
    ]
    return tuple(found.values())


def with_secrets(lines: Sequence[EndpointLine], environment: Mapping[str, str]) -> tuple[EndpointLine, ...]:
    """The lines with the secrets that variables hold. Raises ProfileError, which names variables and never what they hold."""
    mistakes: list[Mistake] = []
    found: list[EndpointLine] = []
    for line in lines:
        secret = line.secret
        if line.variable is not None:
            secret = environment.get(line.variable, "")
            problem = _why_not(secret) if secret else "is not set"
            if problem is not None:
                mistakes.append(Mistake(FILE, line.line, "secret", f"the variable {line.variable} {problem}", line.column))
        found.append(replace(line, secret=secret))
    if mistakes:
        raise ProfileError(mistakes)
    return tuple(found)


def _endpoint(document: Document, item: Node, before: Mapping[str, EndpointLine]) -> EndpointLine:
    fields = document.fields(item, ("name", "url"), ("format", "default", "language", "heartbeat", "secret"))
    place = fields.get("secret", item)
    nothing: tuple[str | None, str | None] = (None, None)
    secret, variable = document.read(fields.get("secret"), _read_secret, nothing)
    usual: Format = "citybrain"
    format_ = document.read(fields.get("format"), one_of("format", FORMATS), usual)
    return EndpointLine(
        name=document.read(fields.get("name"), _name_reader(before), ""),
        url=document.read(fields.get("url"), _read_url, ""),
        format=format_,
        default=document.read(fields.get("default"), read_flag, False),
        language=document.read(fields.get("language"), one_of("language", LANGUAGES), "zh"),
        heartbeat=document.read(fields.get("heartbeat"), _heartbeat_reader(format_), False),
        secret=secret,
        variable=variable,
        line=place.line,
        column=place.column,
    )


def _name_reader(before: Mapping[str, EndpointLine]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text in before:
            raise ValueError("is the name of an endpoint above")
        if not 0 < len(text) <= LONGEST_NAME or not text.isprintable() or text != text.strip():
            raise ValueError(f"has to be 1 to {LONGEST_NAME} characters on one line, without spaces around them")
        return text

    return read


def _heartbeat_reader(format_: Format) -> Callable[[str], bool]:
    def read(text: str) -> bool:
        marked = read_flag(text)
        if marked and format_ != "citybrain":
            raise ValueError("the heartbeat is for programs: the format has to be citybrain")
        return marked

    return read


def _read_url(text: str) -> str:
    if not text.startswith(("https://", "http://")):
        raise ValueError("has to begin with https://")
    if len(text) > LONGEST_URL or not text.isprintable() or " " in text:
        raise ValueError(f"is no URL: up to {LONGEST_URL} characters without spaces")
    return text


def _read_secret(text: str) -> tuple[str | None, str | None]:
    """The secret, or the variable that holds it."""
    found = _VARIABLE.fullmatch(text)
    if found:
        return None, found[1]
    if text.startswith("$"):
        raise ValueError("is no variable: write ${NAME}")
    if (problem := _why_not(text)) is not None:
        raise ValueError(problem)
    return text, None


def _why_not(secret: str) -> str | None:
    """What keeps a text from being a secret."""
    try:
        key_of(secret)
    except SecretRefused as error:
        return f"holds no secret: {error}"
    return None
