"""A real `citybrain up` for measurements, a generated profile of many grids, and a poster that keeps several posts in flight."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

KEY = "bench-key-bench-key-bench-key"
READY_S = 60
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


def write_profile(folder: Path, grids: int) -> list[str]:
    """Square grids in rows, ten in a community, five communities in a street, four streets in a district; their codes."""
    features: dict[str, dict[str, Any]] = {}
    codes: list[str] = []
    for n in range(grids):
        district, street, community, grid = n // 200, n // 50 % 4, n // 10 % 5, n % 10
        code = f"{610601 + district}{street + 1:03}{community + 1:03}{grid + 1:03}"
        codes.append(code)
        west, south = 109 + (n % 100) * 0.01, 36 + (n // 100) * 0.01
        _add(features, code, "grid", code[:12], west, south, west + 0.01, south + 0.01)
    for code in codes:
        for size, level, parent in ((12, "community", code[:9]), (9, "street", code[:6]), (6, "district", "610600")):
            _add(features, code[:size], level, parent, 109, 36, 110, 37)
    _add(features, "610600", "city", None, 109, 36, 110, 37)
    folder.mkdir(parents=True)
    settings = {"name": {"en": "Bench", "zh": "测"}, "timezone": "Asia/Shanghai", "horizon_days": 400}
    (folder / "city.yaml").write_text(json.dumps(settings, indent=1))
    (folder / "areas.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": list(features.values())}))
    return codes


def _add(
    features: dict[str, dict[str, Any]],
    code: str,
    level: str,
    parent: str | None,
    west: float,
    south: float,
    east: float,
    north: float,
) -> None:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    features[code] = {
        "type": "Feature",
        "properties": {"code": code, "level": level, "name": {"en": code, "zh": code}, "parent": parent},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


@dataclass
class City:
    """A running city."""

    url: str
    data: Path
    process: subprocess.Popen[bytes]

    def processes(self) -> list[int]:
        """The city's process and those of its database."""
        mine = str(self.data)
        found = [self.process.pid]
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "cwd").readlink().is_relative_to(mine):
                    found.append(int(entry.name))
            except OSError:
                continue
        return sorted(set(found))

    def resident_mib(self) -> float:
        """Resident memory of the city's own process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def running_city(root: Path, grids: int) -> Iterator[tuple[City, list[str]]]:
    """A fresh city on a free port."""
    codes = write_profile(root / "city", grids)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"CITYBRAIN_ADMIN_KEY": KEY, "CITYBRAIN_CITY": str(root / "city")}
    command = [sys.executable, "-m", "citybrain", "up", "--data", str(root / "data"), "--port", str(port)]
    with (root / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait_ready(port, process)
        yield City(f"http://127.0.0.1:{port}", root / "data", process), codes
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if b" 200 " in connection.recv(100):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the city did not get ready")


@dataclass(frozen=True)
class Played:
    """Seconds from the first post until all was answered, stored, and rolled up."""

    accepted_s: float
    stored_s: float
    rolled_up_s: float


async def play(city: City, posts: Sequence[bytes], in_flight: int = 16) -> Played:
    """Post everything, then wait for the roles."""
    waiting = list(reversed(posts))
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        before = (await _status(session, city))["accepted"]
        expected = before + sum(body.count(b'"specversion"') for body in posts)
        begun = time.monotonic()

        async def post_all() -> None:
            while waiting:
                await _post(session, city, waiting.pop())

        await asyncio.gather(*(post_all() for _ in range(in_flight)))
        accepted = time.monotonic()
        stored = await _until(session, city, lambda status: status["accepted"] >= expected)
        rolled = await _until(session, city, lambda status: status["roles"]["rollup"]["lag"] == 0)
    return Played(accepted - begun, stored - begun, rolled - begun)


async def _post(session: aiohttp.ClientSession, city: City, body: bytes) -> None:
    while True:
        async with session.post(f"{city.url}/v1/events", data=body) as answer:
            if answer.status == 202:
                return
            if answer.status not in (429, 503):
                raise RuntimeError(f"{answer.status} {await answer.text()}")
        await asyncio.sleep(0.1)


async def _status(session: aiohttp.ClientSession, city: City) -> dict[str, Any]:
    async with session.get(f"{city.url}/v1/status") as answer:
        answer.raise_for_status()
        found: dict[str, Any] = await answer.json()
        return found


async def _until(session: aiohttp.ClientSession, city: City, holds: Any) -> float:
    while not holds(await _status(session, city)):
        await asyncio.sleep(0.1)
    return time.monotonic()
