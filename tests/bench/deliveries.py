"""Webhooks: fifty endpoints of which thirty are bad, and five kills. Runs the end-to-end test that prints the figures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TEST = Path(__file__).parents[1] / "e2e" / "test_fifty_endpoints.py"


def measure() -> None:
    """Print p50 and p99 without and with the bad ones, their ratio, and what five kills repeated."""
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-s", str(TEST)], check=True)
