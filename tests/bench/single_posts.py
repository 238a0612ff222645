"""One event a request, each committed to disk: requests/s against a bare Starlette route under the same wrk."""

from __future__ import annotations

import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.city import KEY, running_city

CONNECTIONS, SECONDS = 64, 5
_LUA = """
local n, t = 0, 0
function setup(thread) thread:set("id", math.random(1000000000)) end
request = function()
  n = n + 1
  local body = string.format(
    '{"specversion":"1.0","id":"%%s-%%d","source":"/bench/gateway-1","type":"parking.occupancy","time":"%s",' ..
    '"subject":"lot-%%04d","area":"%s","data":{"occupied":182,"capacity":220}}', id, n, n %% 1000)
  return wrk.format("POST", "/v1/events", {["Content-Type"]="application/json", ["Authorization"]="Bearer %s"}, body)
end
"""


def measure(runs: int) -> None:
    """Alternate bare route and city, print medians."""
    if shutil.which("wrk") is None:
        raise SystemExit("single posts need wrk (Debian: apt-get install wrk)")
    with (
        tempfile.TemporaryDirectory(prefix="citybrain-bench-") as name,
        running_city(Path(name), 100) as (city, grids),
        _bare() as bare,
    ):
        script = Path(name) / "post.lua"
        script.write_text(_LUA % (datetime.now(UTC).isoformat(), grids[0], KEY))
        rates = [(_wrk(bare, script), _wrk(city.url, script)) for _ in range(runs)]
    stick, ours = (statistics.median(column) for column in zip(*rates, strict=True))
    print(f"single posts  bare route {stick:>7.0f}/s  city {ours:>6.0f}/s  ratio {ours / stick:.3f}", flush=True)  # noqa: T201


def _wrk(url: str, script: Path) -> float:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text:
        raise RuntimeError(text)
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if found is None:
        raise RuntimeError(text)
    return float(found[1])


@contextmanager
def _bare() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.bare", str(port)])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
