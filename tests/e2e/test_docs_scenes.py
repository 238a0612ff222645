"""What the pages tell readers to do in several terminals: `make demo` and one's own event beside it, `citybrain up`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from city import City, eventually, free_port
from pages import ROOT, blocks, in_shell, scene, shell_environment

_STORED = """for _ in $(seq 100); do
  curl -fsS "$CITY/v1/event?source=/me&id=hello-$NOW" -H "Authorization: Bearer $KEY" >/dev/null 2>&1 && break; sleep 0.1
done"""
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@contextmanager
def terminal(code: str, folder: Path) -> Iterator[Path]:
    """Lines that go on until Ctrl-C, and the file that they print to."""
    out = folder / "out.txt"
    with out.open("wb") as file:
        process = subprocess.Popen(
            ["/usr/bin/env", "bash", "-c", f"set -eu\n{code}"],
            cwd=folder, env=shell_environment({}), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        yield out
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_make_demo_and_an_event_of_one_s_own_beside_it(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))  # installed before the copies were made
    port = free_port()
    demo, test = scene("README.md", "demo").splitlines()
    asked = subprocess.run(["make", "-n", *test.split()[1:2]], cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: S607
    assert "-m pytest" in asked.stdout
    assert demo.startswith("make demo ")
    try:
        with terminal(demo.replace("make demo", f"make demo PORT={port}"), tmp_path) as out:
            assert eventually(lambda: "Open next" in out.read_text("utf-8"), 180, 0.5), out.read_text("utf-8")[-3000:]
            shell = scene("README.md", "demo-shell").replace(":8000", f":{port}")
            own = [one.code for one in blocks(ROOT / "README.md") if (one.language, one.how) == ("sh", "run")]
            posted, read = own
            done = in_shell(f"{shell}\n{posted}\n{_STORED}\n{read}", tmp_path, {})
    finally:
        City.kill_database(_city_of(tmp_path / "data" / "demo"))
    assert '"accepted":1' in done.out
    assert '"occupied":412' in done.out


def test_a_city_is_run_as_the_page_says(tmp_path: Path) -> None:
    port = free_port()
    city = _city_of(tmp_path / "my-city", port)
    try:
        with terminal(scene("docs/howto/run.md", "up").replace("8000", str(port)), tmp_path):
            assert eventually(city.is_ready, 60), (tmp_path / "out.txt").read_text("utf-8")[-2000:]
    finally:
        city.kill_database()


def _city_of(data: Path, port: int = 0) -> City:
    city = City(data.parent)
    city.data, city.port = data, port
    return city
