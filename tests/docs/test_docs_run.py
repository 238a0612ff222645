"""The blocks of the pages that say `run` are run, in order and in one shell, against a real city; and so are the examples."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from city import City
from pages import ENGLISH, ROOT, Block, blocks, shell_environment


def runnable(page: Path) -> list[Block]:
    return [one for one in blocks(page) if one.how == "run"]


PAGES = [page for page in ENGLISH if runnable(page) and page.name != "README.md"]
BLOCK_S = 120
_SETTLE, _NEXT = "sleep_until_settled", "=====next====="


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """The city that `up` runs when it is told nothing: the demonstration city."""
    root = tmp_path_factory.mktemp("docs")
    (root / "deploy").symlink_to(ROOT / "deploy")  # readers are in a clone
    with City(root) as found:
        yield found


def script(page: Path) -> str:
    """One shell for a page, because its blocks share variables; before each block the city has worked everything off."""
    parts = ["set -euo pipefail"]
    for one in runnable(page):
        code = one.code if one.language == "sh" else f"python - <<'END_OF_BLOCK'\n{one.code}END_OF_BLOCK\n"
        parts += [_SETTLE, f"echo {_NEXT}", code]
    return "\n".join(parts)


def outputs(city: City, page: Path) -> list[str]:
    """What each block of a page prints."""
    settle = f"""{_SETTLE}() {{ for _ in $(seq 200); do
        case "$(curl -fsS "$CITY/v1/status" -H "Authorization: Bearer $KEY")" in
            *'"aggregate":{{"lag":0'*'"rollup":{{"lag":0'*) return;; esac; sleep 0.1; done; return 1; }}"""
    environment = shell_environment({"CITY": city.url, "DATA": str(city.data), "KEY": city.key})
    done = subprocess.run(
        ["/usr/bin/env", "bash", "-c", f"{settle}\n{script(page)}"],
        cwd=city.root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=BLOCK_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout.decode()[-1000:]}\n{done.stderr.decode()[-2000:]}"
    return done.stdout.decode().split(f"{_NEXT}\n")[1:]


def documents(text: str) -> list[Any]:
    """The JSON documents that stand one after another in a text."""
    found: list[Any] = []
    while text := text.lstrip():
        document, end = json.JSONDecoder().raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def without_instants(document: object) -> object:
    """A document without what differs from run to run."""
    return json.loads(re.sub(r'"\d{4}-\d\d-\d\dT[\d:.]+Z"', '"…"', json.dumps(document)))


@pytest.mark.long
@pytest.mark.timeout(BLOCK_S + 60)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_that_says_run_runs(city: City, page: Path) -> None:
    assert len(outputs(city, page)) == len(runnable(page))


@pytest.mark.long
@pytest.mark.timeout(BLOCK_S + 120)
def test_the_readme_shows_what_is_answered(tmp_path: Path) -> None:
    page = ROOT / "README.md"
    shown = [
        json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ]
    with City(tmp_path) as city:
        posted, read, from_python = outputs(city, page)
    assert json.loads(posted) == shown[0]
    event, series = documents(read)
    assert event["data"] == {"occupied": 412, "capacity": 577}
    assert without_instants(series) == without_instants(shown[1])
    assert from_python == '202 {"accepted":1,"rejected":[]}\n' * 2
    assert city.key not in city.log


@pytest.mark.long
@pytest.mark.timeout(120)
def test_every_example_is_accepted_by_the_demonstration_city(city: City) -> None:
    now = datetime.now(UTC)
    for path in sorted((ROOT / "schemas" / "examples" / "posts").glob("*.json")):
        event = json.loads(path.read_text("utf-8")) | {"time": (now - timedelta(minutes=1)).isoformat()}
        answer = city.post(event)
        assert (answer.status, answer.json["accepted"]) == (202, 1), (path.name, answer.body)
    status = city.settled()
    assert status["dead"] == 0
