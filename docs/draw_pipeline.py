"""Draw the pipeline's dashboard to docs/pictures: `python docs/draw_pipeline.py`. It asks Prometheus, so one is run.

A cluster of every role works for some minutes on this machine under a real Prometheus (Debian: prometheus). In the middle its
aggregate is stopped for a while, so that the picture shows what a lag looks like and how it is made up for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "e2e"), str(ROOT / "docs")]

from drawing.page import Told, picture  # noqa: E402
from places import minutes_ago, occupancy, stamp, write_profile  # noqa: E402 - the city of end-to-end tests

from city import free_port  # noqa: E402
from cluster import Role, cluster  # noqa: E402
from dashboards import documents  # noqa: E402 - the tests' own way to read dashboards
from prometheus_server import PrometheusServer, can_start  # noqa: E402
from receivers import receiver  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
ROLES = ("ingest", "aggregate", "alert", "deliver", "api")
MINUTES, STOP_S, EVENTS, PAUSE_S = 12.0, 40, 100, 0.25
_VARIABLES = {"$__rate_interval": "30s", "$__range": "10m"}
_STEP_S = 5
Rows = Sequence[dict[str, Any]]


def plate(server: PrometheusServer, language: str, begin: datetime, end: datetime) -> str:
    """The dashboard in a language, from what the server has seen between two moments."""
    document = documents()[f"{language}/pipeline.json"]
    panels = [panel for panel in document["panels"] if panel["type"] != "row"]
    rows = {panel["id"]: _rows(server, panel, begin, end) for panel in panels}
    return picture(Told(document, rows, (), {"en": "five processes", "zh": "五个进程"}[language], begin, end, language))


def _rows(server: PrometheusServer, panel: Mapping[str, Any], begin: datetime, end: datetime) -> Rows:
    """As the drawing wants them: of a figure {name: value}; of a chart rows of time, metric and value, None where a line ends."""
    found: list[dict[str, Any]] = []
    for target in panel["targets"]:
        query, name = _filled(target["expr"]), target["legendFormat"]
        if panel["type"] == "stat":
            values = [float(one["value"][1]) for one in server.rows(query, end.timestamp())]
            found += [{name: value} for value in values if math.isfinite(value)]
            continue
        span = {"start": begin.timestamp(), "end": end.timestamp(), "step": _STEP_S}
        for one in server.get("query_range", query=query, **span)["result"]:
            named = re.sub(r"{{(\w+)}}", lambda label, labels=one["metric"]: labels.get(label[1], ""), name)
            found += _line(named, one["values"])
    return found if any(row.get("value", 0) is not None for row in found) else []


def _line(name: str, values: Sequence[tuple[float, str]]) -> Rows:
    found: list[dict[str, Any]] = []
    last = math.inf
    for at, text in values:
        if at > last + 1.5 * _STEP_S:
            found.append({"time": _moment(last), "metric": name, "value": None})
        value = float(text)
        found.append({"time": _moment(at), "metric": name, "value": value if math.isfinite(value) else None})
        last = at
    return found


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _filled(query: str) -> str:
    for name, value in _VARIABLES.items():
        query = query.replace(name, value)
    return query


async def _rounds(ingest: Role, api: Role, ended: threading.Event) -> None:
    """Events at a steady pace, one of each batch a bad one; somebody reads, and now and then a page is delivered."""
    async with receiver() as desk:
        endpoint = json.dumps({"name": "desk", "url": desk.url(), "format": "citybrain"}).encode()
        answer = await asyncio.to_thread(api.send, "POST", "/v1/endpoints", endpoint, {"Content-Type": "application/json"})
        while not await asyncio.to_thread(ended.wait, PAUSE_S):
            await asyncio.to_thread(_round, ingest, api, answer.json["id"])


def _round(ingest: Role, api: Role, endpoint: str) -> None:
    batch = [occupancy(n % 90, subject=f"lot-{n}", time=stamp(minutes_ago(0))) for n in range(EVENTS)]
    ingest.post([*batch, occupancy(type="nothing")])
    span = {"from": stamp(minutes_ago(30)), "to": stamp(minutes_ago(0))}
    api.get("/v1/series", metric="parking.occupied_ratio", area="610600", **span)
    if time.time() % 5 < PAUSE_S:
        api.send("POST", f"/v1/endpoints/{endpoint}/test")


def _drawn(root: Path, minutes: float) -> str:
    ports = {role: free_port() for role in ROLES}
    server = PrometheusServer(root / "prometheus", {role: [port] for role, port in ports.items()})
    values = {"CITYBRAIN_DELIVERY_NETWORKS": "127.0.0.0/8", "CITYBRAIN_DELIVERY_HTTP": "true"}
    ended = threading.Event()
    with cluster(root, profile=write_profile(root / "city"), **values) as city:
        roles = {role: city.start(role, CITYBRAIN_METRICS_PORT=str(port)) for role, port in ports.items()}
        poster = threading.Thread(target=lambda: asyncio.run(_rounds(roles["ingest"], roles["api"], ended)))
        poster.start()
        try:
            server.start()
            begin = datetime.now(UTC)
            time.sleep(minutes * 60 * 0.6)
            roles["aggregate"].pause()
            time.sleep(min(STOP_S, minutes * 10))
            roles["aggregate"].go_on()
            end = begin + timedelta(minutes=minutes)
            time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()))
            return plate(server, "en", begin, end)
        finally:
            ended.set()
            poster.join()
            server.stop()


def main() -> None:
    """Run, ask, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURES, metavar="DIR", help="where the pictures go")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long the cluster works")
    asked = parser.parse_args()
    if not can_start():
        sys.exit("prometheus is not installed (Debian: prometheus)")
    with tempfile.TemporaryDirectory() as folder:
        text = _drawn(Path(folder), asked.minutes)
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "dashboard-pipeline.svg"
    path.write_text(text, "utf-8")
    sys.stdout.write(f"wrote {path}, {len(text.encode()):,} bytes\n")


if __name__ == "__main__":
    main()
