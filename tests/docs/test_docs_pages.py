"""What the pages say of the code: generated pages, links, names of tests, commands and options, and both READMEs alike."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import click
import pytest

from citybrain.__main__ import COMMANDS, cli
from citybrain.commands.postgres import PROGRAMS
from citybrain.settings import VARIABLES
from citybrain.store.embedded_server import Server
from citybrain_schemas.events import DOMAINS
from citybrain_schemas.metrics import METRICS
from postgres import TEMPLATE

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^```[^\n]*\n.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "docs" / "generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.long  # it imports everything
@pytest.mark.timeout(120)
def test_reference_pages_have_not_drifted_from_the_code(postgres_server: Server) -> None:
    for name, text in generator().pages(postgres_server.dsn(TEMPLATE)).items():
        written = (ROOT / "docs" / "reference" / name).read_text("utf-8")
        assert written == text, f"docs/reference/{name} has drifted: run python docs/generate_reference.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = unquote(target).partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.is_relative_to(ROOT), f"{target} is not of the project"
        assert found.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(found), f"{target}: no such heading"


@pytest.mark.parametrize("folder", ["howto", "decisions", "reference", "runbooks"])
def test_every_page_is_in_the_index_of_its_folder(folder: str) -> None:
    english, chinese = (ROOT / "docs" / folder / name for name in ("README.md", "README.zh-CN.md"))
    for page in (ROOT / "docs" / folder).glob("*.md"):
        index = chinese if page.name.endswith(".zh-CN.md") and page != chinese and chinese.exists() else english
        assert page == english or f"({page.name})" in index.read_text("utf-8"), page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    for name in re.findall(r"`(test_\w+)`", prose(page)):
        assert any(f"def {name}(" in path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py")), name


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_every_file_that_the_readme_names_exists(name: str) -> None:
    roots = (ROOT, ROOT / "services" / "citybrain", ROOT / "schemas" / "citybrain_schemas", ROOT / "tests")
    for path in re.findall(r"`([\w./]+(?:\.py|/))`", prose(ROOT / name)):
        assert any((root / path).exists() for root in roots), path


CHINESE = sorted(page for page in PAGES if page.name.endswith(".zh-CN.md"))


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_a_page_has_the_same_structure_in_chinese(page: Path) -> None:
    """Blocks are the same to the letter, so what is proved of the English page holds for both."""
    english, chinese = (one.read_text("utf-8") for one in (page.with_name(page.name.replace(".zh-CN", "")), page))
    assert _FENCE.findall(english) == _FENCE.findall(chinese)
    for form in (r"^#+ ", r"^\| ", r"^\d+\. ", r"^\* ", r"^\*\*"):
        lines = [re.findall(form, _FENCE.sub("", text), re.MULTILINE) for text in (english, chinese)]
        assert lines[0] == lines[1], form
    links = [sorted({re.sub(r"\.zh(-CN)?(?=\.|$)|#.*", "", link) for link in _LINK.findall(text)}) for text in (english, chinese)]
    assert links[0] == links[1]
    assert re.findall(r"`(test_\w+)`", english) == re.findall(r"`(test_\w+)`", chinese)


def test_every_setting_metric_table_and_line_of_the_log_is_in_the_reference() -> None:
    """What the generator could leave out without a page drifting."""
    reference = {path.name: path.read_text("utf-8") for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert all(f"`{name}`" in reference["settings.md"] for name in VARIABLES)
    assert all(f"`{name}`" in reference["metrics.md"] for name in METRICS)
    assert all(f"### {one.name}\n" in reference["events.md"] for domain in DOMAINS for one in domain.types)
    assert all(f"citybrain {name}" in reference["commands.md"] for name in COMMANDS)
    logged = re.compile(r"""_log\.(?:debug|info|warning|error|exception)\(\s*f?["']""")
    said = sum(len(logged.findall(path.read_text("utf-8"))) for path in (ROOT / "services").rglob("*.py"))
    assert 20 < reference["log.md"].count("\n| `") <= said + 40
    for event in ("bus_records_lost", "aggregate_failed", "postgres_died", "ready"):
        assert f"| `{event}` |" in reference["log.md"]


def shown_commands(page: Path) -> Iterator[list[str]]:
    """Lines of code blocks that begin with `citybrain`, as words."""
    for block in _FENCE.findall(page.read_text("utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            for found in re.findall(r"(?:^|\$\()(citybrain .*?)(?:\)\"?$|$)", line):
                words = shlex.split(found, comments=True)
                yield words[1 : words.index("|")] if "|" in words else words[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_shows_has_these_options(page: Path) -> None:
    for words in shown_commands(page):
        command: click.Command = cli
        rest = list(words)
        while isinstance(command, click.Group):
            assert rest[:1] != [], f"no command: {' '.join(words)}"
            found = command.get_command(click.Context(command), rest.pop(0))
            assert found is not None, f"there is no command {' '.join(words)}"
            command = found
        if command.context_settings.get("ignore_unknown_options"):
            rest = rest[: next(n for n, word in enumerate(rest) if word in PROGRAMS)]  # what follows is PostgreSQL's
        options = {name for one in command.params for name in one.opts} | {"--help"}
        for word in rest:
            assert not word.startswith("--") or word in options, f"{' '.join(words)}: no option {word}"


def test_no_page_names_a_place_that_only_its_makers_have() -> None:
    for page in [*PAGES, *(ROOT / "docs").rglob("*.svg")]:
        assert not re.search(r"(?<![\w.])/(?:work|tmp|home|root)/|\.\./shared|pypi\.org", page.read_text("utf-8")), page
