"""No block of a page is without proof: run, named by a test that runs it, looked up where it cannot run, or not a command at all.

Docker and Kubernetes have no engine here: of what is said to them, this finds every service, profile, folder, name, option and
setting in the files that the project ships, and no more. `make` is asked what it would do.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import promql_parser
import pytest
import yaml

from city import run
from citybrain.settings import VARIABLES
from pages import ENGLISH, ROOT, Block, blocks

BLOCKS = [one for page in ENGLISH for one in blocks(page)]
COMMANDS = {"sh", "python", "js", "go"}
HOWS = {
    "sh": {"run", "scene", "checked"},
    "python": {"run", "file"},
    "js": {"file", "as"},
    "go": {"file"},
    "yaml": {"as", "file"},
}
PLAIN = {"json", "text", "sql", "promql"}
_LIKE_A_COMMAND = re.compile(
    r"\s*(?:\$ |sudo |(?:citybrain|curl|make|docker|kubectl|python3?|node|go|psql|pg_\w+|export|npm|pip) )"
)
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
COMPOSE_OPTIONS = {"up": {"--build", "--wait", "--scale", "--detach"}, "run": {"--rm"}, "down": set(), "logs": {"--follow"}}
KUBERNETES = [
    document
    for path in sorted((ROOT / "deploy" / "k8s").rglob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text("utf-8"))
    if document and "metadata" in document
]


def of(how: str) -> list[Block]:
    return [one for one in BLOCKS if one.how == how]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_says_how_it_is_proved(block: Block) -> None:
    if block.language in HOWS:
        assert block.how in HOWS[block.language], f"{block} would be shown and proved by nothing: see tests/pages.py"
    else:
        assert block.language in PLAIN, f"{block}: nobody knows how to prove a block of this language"
        assert block.how == ""
    assert (block.how in {"scene", "file", "as"}) == (block.name != "")


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "text"], ids=str)
def test_what_is_shown_as_text_is_no_command(block: Block) -> None:
    assert not [line for line in block.code.splitlines() if _LIKE_A_COMMAND.match(line)]


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "json"], ids=str)
def test_what_is_shown_as_json_is_json(block: Block) -> None:
    text = block.code.strip()
    while text:
        _, end = json.JSONDecoder().raw_decode(text)
        text = text[end:].lstrip()


def test_what_is_shown_as_promql_is_promql() -> None:
    for block in [Block(ROOT / "README.md", "promql", "", "", "up == 1"), *(one for one in BLOCKS if one.language == "promql")]:
        promql_parser.parse(block.code)
    with pytest.raises(ValueError, match="invalid"):
        promql_parser.parse("up ==")


async def test_what_is_shown_as_sql_is_understood(database: str) -> None:
    connection = await asyncpg.connect(database, timeout=10)
    try:
        for block in [one for one in BLOCKS if one.language == "sql"]:
            for statement in filter(str.strip, block.code.split(";")):
                await connection.fetch(f"explain {statement}", timeout=10)
    finally:
        await connection.close()


@pytest.mark.parametrize("block", of("scene"), ids=str)
def test_every_scene_is_run_by_a_test(block: Block) -> None:
    others = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    called = re.compile(rf'scene\((?:\w+|"[^"]+"), "{block.name}"\)')
    assert any(called.search(text) and str(block.page.relative_to(ROOT)) in text for text in others), block
    assert sum(one.name == block.name and one.page == block.page for one in BLOCKS) == 1


@pytest.mark.parametrize("block", of("file"), ids=str)
def test_every_program_that_is_shown_is_the_file(block: Block) -> None:
    path = block.page.parent / block.name
    assert block.code == path.read_text("utf-8")
    tests = [*(ROOT / "tests" / "e2e").glob("test_*.py"), *(ROOT / "tests" / "contract").glob("test_*.py")]
    assert any(path.name in test.read_text("utf-8") for test in tests), "no test runs it"


@pytest.mark.parametrize("page", sorted({one.page for one in of("as") if one.language == "yaml"}), ids=lambda page: page.name)
def test_every_file_of_a_profile_that_is_shown_is_taken(page: Path, tmp_path: Path) -> None:
    profile = tmp_path / "my-city"
    shutil.copytree(ROOT / "deploy" / "city", profile)
    shown = [one for one in of("as") if one.page == page]
    for block in shown:
        if block.name == "endpoints.yaml":  # the routes of the shipped rules name endpoints that are made over the API
            shutil.rmtree(profile / "rules")
            (profile / "rules").mkdir()
    for block in shown:
        (profile / block.name).write_text(block.code, "utf-8")
    run("city", "check", profile, cwd=tmp_path, environment={"TRAFFIC_DUTY_SECRET": "whsec_" + "A" * 44}).ok()
    for block in shown:
        if block.name.startswith("maps/"):
            (tmp_path / "rows.csv").write_text("", "utf-8")
            said = run(
                "replay", "rows.csv", "--map", profile / block.name, "--to", "http://127.0.0.1:9", "--key", "k" * 24, cwd=tmp_path
            )
            assert "rows.csv" in said.err, said.err
            assert block.name not in said.err, said.err


# ---- what cannot run here -----------------------------------------------------------------------------------------------


def lines(block: Block) -> Iterator[list[str]]:
    """Each command as words."""
    for line in block.code.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


@pytest.mark.parametrize("block", of("checked"), ids=str)
def test_every_word_of_what_cannot_run_here_is_known(block: Block) -> None:
    for words in lines(block):
        match words[0]:
            case "export":
                name = words[1].partition("=")[0]
                assert not name.startswith("CITYBRAIN_") or name in VARIABLES, name
            case "make":
                made = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
                assert made.returncode == 0, made.stderr
            case "docker":
                docker(words[1:])
            case "kubectl":
                kubectl(words[1:])
            case "psql" | "pg_restore":
                assert block.page.name == "backup.md", "TimescaleDB's own steps: tests/contract/test_timescale_statements.py"
            case "promtool":
                assert words[1:3] in (["check", "rules"], ["test", "rules"])
                assert list(ROOT.glob(words[3])), "what promtool says of them: tests/contract/test_prometheus_rules.py"
            case ".venv/bin/python":
                assert words[1:3] == ["-m", "pytest"]
                assert all((ROOT / one).exists() for one in words[3:])
            case other:
                pytest.fail(f"nothing looks up {other!r} of {block}")


def docker(words: list[str]) -> None:
    """`docker compose`: services and profiles of docker-compose.yml. `docker build`: files."""
    if words[0] == "build":
        assert (ROOT / words[words.index("-f") + 1]).exists()
        return
    assert words[0] == "compose", words
    rest = words[1:]
    profiles = {name for one in COMPOSE["services"].values() for name in one.get("profiles", ())}
    while rest[0] == "--profile":
        assert rest[1] in profiles
        rest = rest[2:]
    command, *rest = rest
    for word in rest:
        name, _, count = word.partition("=")
        if word.startswith("-"):
            assert word in COMPOSE_OPTIONS[command], word
        else:
            assert name in COMPOSE["services"], word
            assert not count or (count.isdigit() and "--scale" in rest)


def kubectl(words: list[str]) -> None:
    """Namespace, folders, workloads, and the keys of the secret that workloads read."""
    namespaces = {one["metadata"]["name"] for one in KUBERNETES if one["kind"] == "Namespace"}
    if "--namespace" in words:
        at = words.index("--namespace")
        assert words[at + 1] in namespaces
        words = words[:at] + words[at + 2 :]
    options = dict(word.lstrip("-").split("=", 1) for word in words if word.startswith("--"))
    literals = {word.split("=")[1] for word in words if word.startswith("--from-literal=")}
    plain = [word for word in words if not word.startswith("--")]
    match plain:
        case ["create", "namespace", name]:
            assert name in namespaces
        case ["create", "secret", "generic", name]:
            manifests = json.dumps(KUBERNETES)
            assert f'"secretName": "{name}"' in manifests
            assert all(f'/{key}"' in manifests for key in literals)
        case ["apply", "-k", folder]:
            assert (ROOT / folder / "kustomization.yaml").exists()
        case ["wait" | "delete" | "rollout", *rest]:
            kind, _, name = rest[-1].partition("/") if "/" in rest[-1] else (rest[-2], "", rest[-1])
            assert (kind.lower(), name) in {(one["kind"].lower(), one["metadata"]["name"]) for one in KUBERNETES}
            assert options.keys() <= {"for", "timeout"}
        case _:
            pytest.fail(f"nothing looks up kubectl {words}")


# ---- the lookups themselves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "export CITYBRAIN_NOTHING=1",
        "make nothing",
        "docker compose up nothing",
        "docker compose --profile nothing up replay",
        "docker compose up --nothing",
        "kubectl apply -k deploy/nothing",
        "kubectl --namespace other wait --for=condition=complete job/migrate",
        "kubectl create secret generic citybrain --from-literal=nothing=1",
        "curl http://127.0.0.1",
    ],
)
def test_a_word_that_is_not_known_is_found(code: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception, KeyError)):
        test_every_word_of_what_cannot_run_here_is_known(Block(ROOT / "README.md", "sh", "checked", "", code))


@pytest.mark.parametrize(("language", "how"), [("sh", ""), ("bash", ""), ("", ""), ("python", ""), ("yaml", ""), ("sh", "shown")])
def test_a_block_that_nothing_proves_is_found(language: str, how: str) -> None:
    with pytest.raises(AssertionError):
        test_every_block_says_how_it_is_proved(Block(ROOT / "README.md", language, how, "", "citybrain up"))


def test_a_command_that_pretends_to_be_text_is_found() -> None:
    with pytest.raises(AssertionError):
        test_what_is_shown_as_text_is_no_command(Block(ROOT / "README.md", "text", "", "", "citybrain up --data x"))
