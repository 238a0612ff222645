"""A field app that is killed again and again at any moment, offline and while it posts: every event once."""

from __future__ import annotations

import os
import random
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
import asyncio, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from citybrain.client import BlockingFieldApp, field_app

def batch(first, at_once, area, begin):
    return [
        {"id": f"e-{n}", "type": "parking.occupancy", "subject": "lot-1", "area": area,
         "data": {"occupied": n % 90, "capacity": 90}, "time": (begin + timedelta(milliseconds=200 * n)).isoformat()}
        for n in range(first, first + at_once)]

def note(done, count):
    fresh = done.with_suffix(".new")
    fresh.write_text(str(count))
    fresh.replace(done)

def blocking(to, key, folder, events, at_once, area, begin):
    begin, done = datetime.fromisoformat(begin), folder / "done"
    with BlockingFieldApp(to, key, folder / "spool", source="/patrol/7") as app:
        print("open", flush=True)
        for first in range(int(done.read_text()) if done.exists() else 0, events, at_once):
            app.put(batch(first, at_once, area, begin))
            note(done, first + at_once)
            time.sleep(0.02)
        app.flush(120)
        assert not app.refused()
        print("flushed", flush=True)

async def main(to, key, folder, events, at_once, area, begin):
    begin, done = datetime.fromisoformat(begin), folder / "done"
    async with field_app(to, key, folder / "spool", source="/patrol/7") as app:
        print("open", flush=True)
        for first in range(int(done.read_text()) if done.exists() else 0, events, at_once):
            await app.put(batch(first, at_once, area, begin))
            note(done, first + at_once)
            await asyncio.sleep(0.02)
        await app.flush(120)
        assert not await app.refused()
        print("flushed", flush=True)

kind, to, key, folder, events, at_once, area, begin = sys.argv[1:]
said = (to, key, Path(folder), int(events), int(at_once), area, begin)
blocking(*said) if kind == "blocking" else asyncio.run(main(*said))
"""


@pytest.mark.parametrize("kind", ["asyncio", "blocking"])
def test_ten_thousand_events_of_an_app_that_is_killed_are_stored_once_each(own_city: City, tmp_path: Path, kind: str) -> None:
    folder, seed = tmp_path / "app", random.randrange(1 << 32)
    dice = random.Random(seed)
    folder.mkdir()
    begin = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 7200))

    def run() -> subprocess.Popen[bytes]:
        to = f"http://127.0.0.1:{own_city.port}"
        arguments = [kind, to, own_city.key, str(folder), str(EVENTS), str(AT_ONCE), GRIDS[0], begin]
        return subprocess.Popen([sys.executable, "-c", APP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    own_city.kill()  # offline to begin with
    for n in range(KILLS):
        if n == KILLS // 3:
            own_city.start()
        app = run()
        assert app.stdout is not None
        assert app.stdout.readline() == b"open\n"
        time.sleep(dice.uniform(0.01, 0.4))
        os.kill(app.pid, signal.SIGKILL)
        app.communicate()
    put = int((folder / "done").read_text())
    assert 0 < put < EVENTS, (put, seed)
    app = run()
    out, err = app.communicate(timeout=200)
    assert (app.returncode, out) == (0, b"open\nflushed\n"), (seed, err.decode())
    status = own_city.settled(EVENTS)
    assert (status["stored"], status["conflicts"], status["dead"]) == (EVENTS, 0, 0), seed
