"""A field app that is killed again and again, offline and while it posts: every event once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import GRIDS

from city import City

EVENTS, AT_ONCE, KILLS = 10_000, 20, 12
pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]
APP = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from citybrain.client import field_app

async def main(to, key, folder, events, at_once, area, begin):
    begin, done = datetime.fromisoformat(begin), folder / "done"
    async with field_app(to, key, folder / "spool", source="/patrol/7") as app:
        print("open", flush=True)
        for first in range(int(done.read_text() or 0) if done.exists() else 0, events, at_once):
            await app.put([
                {"id": f"e-{n}", "type": "parking.occupancy", "subject": "lot-1", "area": area,
                 "data": {"occupied": n % 90, "capacity": 90}, "time": (begin + timedelta(milliseconds=200 * n)).isoformat()}
                for n in range(first, first + at_once)])
            done.write_text(str(first + at_once))
            await asyncio.sleep(0.02)
        await app.flush(120)
        assert not await app.refused()
        print("flushed", flush=True)

to, key, folder, events, at_once, area, begin = sys.argv[1:]
asyncio.run(main(to, key, Path(folder), int(events), int(at_once), area, begin))
"""


def test_ten_thousand_events_of_an_app_that_is_killed_are_stored_once_each(own_city: City, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    begin = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 7200))

    def run() -> subprocess.Popen[bytes]:
        to = f"http://127.0.0.1:{own_city.port}"
        arguments = [to, own_city.key, str(folder), str(EVENTS), str(AT_ONCE), GRIDS[0], begin]
        return subprocess.Popen([sys.executable, "-c", APP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    own_city.kill()  # offline to begin with
    for n in range(KILLS):
        if n == KILLS // 3:
            own_city.start()
        app = run()
        assert app.stdout is not None
        assert app.stdout.readline() == b"open\n"
        time.sleep(0.15 + 0.05 * (n % 4))
        os.kill(app.pid, signal.SIGKILL)
        app.communicate()
    put = int((folder / "done").read_text())
    assert 0 < put < EVENTS, put
    app = run()
    out, err = app.communicate(timeout=200)
    assert (app.returncode, out) == (0, b"open\nflushed\n"), err.decode()
    status = own_city.settled(EVENTS)
    assert (status["stored"], status["conflicts"], status["dead"]) == (EVENTS, 0, 0)
