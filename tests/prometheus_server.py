"""A Prometheus that scrapes processes on this machine every two seconds and evaluates the rules of deploy/prometheus.

Prometheus' own program: it comes with promtool (Debian: prometheus).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from city import eventually, free_port
from kafka_server import leave_out

RULES = Path(__file__).parents[1] / "deploy" / "prometheus" / "rules"
READY_S = 30
PROGRAM = shutil.which("prometheus")


def can_start() -> bool:
    """Whether its program is there."""
    return PROGRAM is not None


class PrometheusServer:
    """Its targets are ports of 127.0.0.1 by role. It keeps what it scraped below `root`, which it makes."""

    def __init__(self, root: Path, roles: Mapping[str, Sequence[int]]) -> None:
        if not can_start():
            leave_out("prometheus is not installed (Debian: prometheus): nothing was asked of a Prometheus that runs")
        root.mkdir()
        self.root, self.port = root, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        targets = [
            {"targets": [f"127.0.0.1:{port}" for port in ports], "labels": {"role": role}} for role, ports in roles.items()
        ]
        settings = {
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
            "rule_files": [self._hurried(path) for path in sorted(RULES.glob("*.yml"))],
            "scrape_configs": [{"job_name": "citybrain", "static_configs": targets}],
        }
        (root / "prometheus.yml").write_text(yaml.safe_dump(settings))

    def _hurried(self, path: Path) -> str:
        """A copy of the file whose groups are evaluated as often as metrics are scraped."""
        content = yaml.safe_load(path.read_text("utf-8"))
        for group in content["groups"]:
            group.pop("interval", None)
        (self.root / path.name).write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
        return path.name

    def start(self) -> None:
        """Ready, or an AssertionError with what it said."""
        listen, data = f"--web.listen-address=127.0.0.1:{self.port}", f"--storage.tsdb.path={self.root / 'data'}"
        with (self.root / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM or "", "--config.file=prometheus.yml", listen, data], cwd=self.root, stdout=log, stderr=log
            )
        assert eventually(self._is_ready, READY_S), (self.root / "log.txt").read_text()[-2000:]

    def _is_ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(20)

    def get(self, path: str, **asked: object) -> Any:
        """`data` of an answer of its API. Raises ValueError with what it says is wrong."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(asked)}", timeout=20) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            raise ValueError(json.load(error)["error"]) from None

    def rows(self, query: str, at: float | None = None) -> list[dict[str, Any]]:
        """An instant query's series, now or at a Unix time: `metric` (labels) and `value`."""
        found: list[dict[str, Any]] = self.get("query", query=query, **({} if at is None else {"time": at}))["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """All rules, with `health`, `lastError` and, of alerting ones, `state`."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]
