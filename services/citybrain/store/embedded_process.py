"""Tell whether a process is the PostgreSQL server of a folder. Called by embedded_server. Never signals a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def is_running(process_id: int, data: Path) -> bool:
    """Whether that process lives and is the server whose cluster is in `data`."""
    return process_id > 1 and _mentions(command_of(process_id), data)


def exists(process_id: int) -> bool:
    """Whether any process has that id."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def command_of(process_id: int) -> str:
    """A process's command line, its words joined by spaces; "" when there is none (a process that has ended, too)."""
    if sys.platform == "linux":
        try:
            raw = Path(f"/proc/{process_id}/cmdline").read_bytes()
        except OSError:
            return ""
        return os.fsdecode(raw.rstrip(b"\0").replace(b"\0", b" "))
    done = subprocess.run(  # noqa: S603 - a fixed program and a number
        ["ps", "-ww", "-o", "command=", "-p", str(process_id)],  # noqa: S607 - where it lies differs
        capture_output=True,
        check=False,
        timeout=5,
    )
    return os.fsdecode(done.stdout).strip()


def _mentions(command: str, data: Path) -> bool:
    program, _, rest = command.partition(" -D ")
    return program.endswith("postgres") and f"{rest} ".startswith(f"{data} ")
