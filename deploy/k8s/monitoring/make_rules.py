"""Write rules.yaml, a PrometheusRule, from deploy/prometheus/rules. Run by hand when they change; a test compares."""

from __future__ import annotations

from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent
RULES = FOLDER.parents[1] / "prometheus" / "rules"
_MADE = "# Made by make_rules.py from deploy/prometheus/rules. Do not edit: change the rules, run it again.\n"


def manifest() -> str:
    """The text of rules.yaml."""
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "citybrain"},
        "spec": {"groups": groups},
    }
    return _MADE + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    (FOLDER / "rules.yaml").write_text(manifest(), "utf-8")
