"""The end-to-end files of an embedded city, unchanged, against a cluster: every role a process, over Kafka and PostgreSQL."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ("test_birmingham.py", "test_keys.py", "test_posts.py", "test_water_and_heat.py")
STOPS = "test_interruptions.py"


@pytest.mark.long
@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_what_holds_for_one_process_holds_for_many() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    stops = ("after_sigterm_under_load", "after_kill_9_under_load")
    chosen = [str(HERE / name) for name in FILES] + [str(HERE / STOPS)]
    left_out = f"not test_interruptions or {' or '.join(stops)}"
    done = subprocess.run(
        [*command, *chosen, "-k", left_out],
        cwd=HERE.parents[1],
        env=os.environ | {"CITYBRAIN_TEST_CITY": "cluster"},
        capture_output=True,
        text=True,
        timeout=880,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert not re.search(r"skipped|failed|error", done.stdout.splitlines()[-1]), done.stdout[-2000:]
