"""The JavaScript of the page about field apps in Node, killed offline and while it posts: every event once in a real city."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from places import GRIDS

from city import City
from field_app_page import node, write_app

EVENTS, AT_ONCE, KILLS = 6_000, 20, 9  # 300 puts of 20 ms and more take longer than all the lives that are cut short
pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


def test_the_lines_of_the_page_post_an_event(own_city: City, tmp_path: Path) -> None:
    write_app(tmp_path)
    environment = os.environ | {"CITY": f"http://127.0.0.1:{own_city.port}", "KEY": own_city.key}
    subprocess.run([node(), "use.mjs"], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert own_city.settled(1)["stored"] == 1


def test_an_app_in_node_that_is_killed_loses_nothing_and_doubles_nothing(own_city: City, tmp_path: Path) -> None:
    program, folder, seed = node(), tmp_path / "app", random.randrange(1 << 32)
    dice = random.Random(seed)
    folder.mkdir()
    write_app(folder)
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 7200))

    def run() -> subprocess.Popen[bytes]:
        said = [f"http://127.0.0.1:{own_city.port}", own_city.key, str(folder), str(EVENTS), str(AT_ONCE), GRIDS[0], begin]
        return subprocess.Popen([program, "app.mjs", *said], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    own_city.kill()  # offline to begin with
    for n in range(KILLS):
        if n == KILLS // 3:
            own_city.start()
        app = run()
        assert app.stdout is not None
        assert app.stdout.readline() == b"open\n", (seed, app.communicate())
        time.sleep(dice.uniform(0.01, 0.5))
        os.kill(app.pid, signal.SIGKILL)
        app.communicate()
    put = int((folder / "done").read_text())
    assert 0 < put < EVENTS, (put, seed)
    out, err = run().communicate(timeout=200)
    assert out == b"open\nflushed\n", (seed, err.decode())
    status = own_city.settled(EVENTS)
    assert (status["stored"], status["conflicts"], status["dead"]) == (EVENTS, 0, 0), seed
