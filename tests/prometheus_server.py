"""A Prometheus that scrapes processes on this machine every second and evaluates the rules of deploy/prometheus.

Prometheus' own program: it comes with promtool (Debian: prometheus).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from city import eventually, free_port

RULES = Path(__file__).parents[1] / "deploy" / "prometheus" / "rules"
READY_S = 30


def program() -> str:
    """Its path; without it the test says so loudly, and fails where everything has to be there."""
    found = shutil.which("prometheus")
    if found is None:
        missing = "prometheus is not installed (Debian: prometheus): nothing was asked of a Prometheus that runs"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        warnings.warn(pytest.PytestWarning(missing), stacklevel=2)
        pytest.skip(missing)
    return found


class PrometheusServer:
    """Its targets are ports of 127.0.0.1 by role. It keeps what it scraped below `root`, which it makes."""

    def __init__(self, root: Path, roles: Mapping[str, Sequence[int]]) -> None:
        root.mkdir()
        self.root, self.port = root, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        targets = [
            {"targets": [f"127.0.0.1:{port}" for port in ports], "labels": {"role": role}} for role, ports in roles.items()
        ]
        settings = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
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
                [program(), "--config.file=prometheus.yml", listen, data], cwd=self.root, stdout=log, stderr=log
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
            self._process.wait(20)

    def get(self, path: str, **asked: object) -> Any:
        """`data` of an answer of its API. Raises ValueError with what it says is wrong."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(asked)}", timeout=20) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            raise ValueError(json.load(error)["error"]) from None

    def rows(self, query: str) -> list[dict[str, Any]]:
        """An instant query's series: `metric` (labels) and `value`."""
        found: list[dict[str, Any]] = self.get("query", query=query)["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """All rules, with `health`, `lastError` and, of alerting ones, `state`."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]
