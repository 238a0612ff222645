"""The JavaScript of docs/howto/field-app.md as files, with what runs it in Node. Used by tests of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from kafka_server import leave_out

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "field-app.md"
_PROOF = Path(__file__).parent / "field_app"
_FILE = re.compile(r"^```js as (\S+\.mjs)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def node() -> str:
    """Node's program; without it the test is left out, and fails where everything has to run."""
    found = shutil.which("node")
    if found is None:
        leave_out("no Node.js here: the JavaScript of the page about field apps is left out")
    return found


def write_app(folder: Path, *, browser: bool = False) -> Path:
    """The page's files and ours; with `browser` IndexedDB, too, which npm brings."""
    files = dict(_FILE.findall(PAGE.read_text("utf-8")))
    assert files.keys() == {"field-app.mjs", "file-spool.mjs", "browser-spool.mjs", "use.mjs"}
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    for name in ("app.mjs", "steps.mjs", "package.json", "package-lock.json"):
        shutil.copy(_PROOF / name, folder)
    if browser:
        npm = shutil.which("npm")
        command = [npm or "npm", "ci", "--silent", "--no-audit", "--no-fund"]
        if npm is None or subprocess.run(command, cwd=folder, check=False, timeout=120).returncode != 0:
            leave_out("npm could not bring IndexedDB for Node: the spool for browsers is left out")
    return folder
