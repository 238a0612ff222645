"""endpoints.yaml: what a line says, and that no secret is ever part of what is told."""

from __future__ import annotations

import base64

import pytest

from citybrain.city import Mistake, ProfileError
from citybrain.city.yaml_document import Document
from citybrain.rulebook.endpoints import EndpointLine, read_endpoints, with_secrets

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
LINES = f"""\
endpoints:
  - name: traffic-duty
    url: https://example.org/hook?key=1234
    format: wecom
    default: true
    language: en
    secret: {SECRET}
  - {{name: other, url: "http://10.0.0.1/", secret: "${{DUTY_SECRET}}"}}
  - {{name: third, url: "https://example.org/", heartbeat: true}}
"""


def read(text: str) -> tuple[tuple[EndpointLine, ...], list[str]]:
    mistakes: list[Mistake] = []
    found = read_endpoints(Document("endpoints.yaml", text.encode(), mistakes), mistakes)
    return found, [str(one) for one in mistakes]


def test_all_that_a_line_says_is_read() -> None:
    (first, second, third), mistakes = read(LINES)
    assert mistakes == []
    assert (first.name, first.url, first.format) == ("traffic-duty", "https://example.org/hook?key=1234", "wecom")
    assert (first.default, first.language, first.secret, first.variable) == (True, "en", SECRET, None)
    assert (first.heartbeat, third.heartbeat) == (False, True)
    assert (second.secret, second.variable) == (None, "DUTY_SECRET")
    assert (third.format, third.default, third.language, third.secret, third.variable) == ("citybrain", False, "zh", None, None)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("wecom", "wecon", "4:13: endpoints[0].format: unknown format 'wecon', did you mean 'wecom'?"),
        ("default: true", "default: ja", "5:14: endpoints[0].default: 'ja' is neither true nor false"),
        ("language: en", "language: fr", "6:15: endpoints[0].language: unknown language 'fr': there are zh, en"),
        ("default: true", "defalt: true", "5:5: endpoints[0].defalt: unknown key 'defalt', did you mean 'default'?"),
        (
            "default: true",
            "heartbeat: true",
            "5:16: endpoints[0].heartbeat: the heartbeat is for programs: the format has to be citybrain",
        ),
        ("name: other", "name: traffic-duty", "8:12: endpoints[1].name: is the name of an endpoint above"),
        ("https://example.org/hook", "ftp://example.org/hook", "3:10: endpoints[0].url: has to begin with https://"),
        (SECRET, "whsec_!!!!", "7:13: endpoints[0].secret: holds no secret: after whsec_ a secret is base64"),
        (SECRET, SECRET[:20], "7:13: endpoints[0].secret: holds no secret: a secret is base64 of 24 to 64 bytes"),
        (SECRET, "hunter2hunter2", "7:13: endpoints[0].secret: holds no secret: a secret begins with whsec_"),
        (SECRET, "${DUTY SECRET}", "7:13: endpoints[0].secret: is no variable: write ${NAME}"),
        ("format: wecom", f"format: {SECRET}", "4:13: endpoints[0].format: unknown format"),
        ("default: true", f"{SECRET}: true", "5:5: endpoints[0].…: unknown key"),
        ("secret:", f"{SECRET}\n    secret:", "7:5: "),
        ("  - name: third", "  - {", ""),
    ],
)
def test_a_mistake_names_its_place_and_no_secret(old: str, new: str, told: str) -> None:
    _, mistakes = read(LINES.replace(old, new, 1))
    assert any(one.startswith(f"endpoints.yaml:{told}") for one in mistakes) or not told, mistakes
    assert not any(SECRET[6:] in one or "hunter2" in one for one in mistakes)


def test_a_line_shows_neither_its_secret_nor_the_key_of_a_robot() -> None:
    (first, *_), _ = read(LINES)
    assert SECRET not in repr(first)
    assert "1234" not in repr(first)


def test_secrets_come_from_variables() -> None:
    lines, _ = read(LINES)
    found = with_secrets(lines, {"DUTY_SECRET": SECRET})
    assert [line.secret for line in found] == [SECRET, SECRET, None]


@pytest.mark.parametrize(
    ("environment", "problem"),
    [({}, "is not set"), ({"DUTY_SECRET": ""}, "is not set"), ({"DUTY_SECRET": "hunter2hunter2"}, "holds no secret")],
)
def test_a_variable_without_a_secret_is_named_and_its_value_is_not(environment: dict[str, str], problem: str) -> None:
    lines, _ = read(LINES)
    with pytest.raises(ProfileError) as raised:
        with_secrets(lines, environment)
    assert str(raised.value).startswith(f"endpoints.yaml:8:52: secret: the variable DUTY_SECRET {problem}")
    assert "hunter2" not in str(raised.value)
