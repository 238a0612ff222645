"""Blocks of code in the pages of docs, by what happens to them, and a shell to run them in. Used by the tests in docs/.

The first line of a block says its language, and how it is proved:

    sh run            in order, in one shell a page, on the demonstration city (test_docs_run.py)
    sh scene NAME     by the test that names it: cluster, restore, several terminals
    sh checked        cannot run here (Docker, Kubernetes, a server of yours): its words are looked up (test_docs_checked.py)
    js file PATH      is the text of that file, which a test runs
    yaml as PATH      is put there in a copy of the demonstration profile, which is then checked
    js as NAME        is a file beside the others of its page, which Node runs (field_app_page.py)

What is no command needs nothing: `json` and `text` are what somebody sees.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from city import Ran, clean_environment
from citybrain.store.embedded_programs import programs_folder

ROOT = Path(__file__).resolve().parents[1]
ENGLISH = sorted(page for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")] if ".zh-CN" not in page.name)
RUNBOOK_PAGES = [page for page in ENGLISH if page.parent.name == "runbooks"]
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block: "sh", "scene", "cluster-dump", and its lines."""

    page: Path
    language: str
    how: str
    name: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.language} {self.how} {self.name}: {self.code[:60]!r}"


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    found = []
    for head, code in _BLOCK.findall(page.read_text("utf-8")):
        language, how, name, *rest = [*head.split(), "", "", ""]
        assert not any(rest), f"{page}: {head}"
        found.append(Block(page, language, how, name, code))
    return found


def scene(page: str, name: str) -> str:
    """The lines of a block that has this name."""
    [found] = [one for one in blocks(ROOT / page) if (one.how, one.name) == ("scene", name)]
    return found.code


def shell_environment(values: Mapping[str, str]) -> dict[str, str]:
    """What a reader's shell has: the command, PostgreSQL's programs of our server's version, and these variables."""
    path = f"{Path(sys.executable).parent}:{programs_folder()}:{os.environ['PATH']}"
    return clean_environment() | {"PATH": path} | dict(values)


def in_shell(code: str, cwd: Path, values: Mapping[str, str], limit_s: float = 60) -> Ran:
    """Run lines as a reader would, to their end; every one has to succeed."""
    done = subprocess.run(
        ["/usr/bin/env", "bash", "-c", f"set -euo pipefail\n{code}"],
        cwd=cwd, env=shell_environment(values), stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode()).ok()
