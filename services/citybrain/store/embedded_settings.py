"""PostgreSQL's settings for a small box that several programs share. Called by embedded. Pure but for the memory's size.

They are given on the command line at every start, so a data folder carries no settings of an older version.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_MIB = 1024 * 1024
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # of control groups 2 and 1
_ALWAYS = {
    # A promise, written out so that no configuration file takes it back: a commit is on disk.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # Only our own user reaches the server: no TCP, and a socket in a folder of mode 0700.
    "listen_addresses": "",
    "port": "5432",  # names the socket file
    "unix_socket_permissions": "0700",
    "max_connections": "60",  # every role's pool and the commands; a connection costs megabytes
    "work_mem": "16MB",  # a batch of 10,000 staged rows sorts in memory
    # Writes: a page is written whole to the log once a checkpoint, so few checkpoints. Packing those pages (the wheel has pglz
    # alone) costs a twentieth of all the work at full speed.
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "wal_compression": "off",
    # Queries are short and the cores are few: no compiling, no parallel workers (they need shared memory, too).
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "random_page_cost": "1.1",  # solid-state disks
    # Tables mostly grow: vacuum and analyze after few new rows in proportion, so that plans and index-only scans
    # keep up; often and quickly, because `dirty` and the bus delete as much as they insert.
    "autovacuum_naptime": "20s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_vacuum_insert_scale_factor": "0.05",
    "autovacuum_vacuum_insert_threshold": "50000",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_cost_limit": "1000",
    # No forgotten transaction holds locks or keeps old rows alive.
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The log may be shown to anybody: messages, but neither statements nor the values in them.
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "logging_collector": "off",  # it writes to the descriptor that we gave it
}


def settings(memory_bytes: int) -> dict[str, str]:
    """Every setting that differs from PostgreSQL's default, for a machine with that much memory."""
    memory_mib = memory_bytes // _MIB
    # An eighth for pages, a sixteenth from 256 MB on (Python and Polars need theirs); the planner is told what the system caches.
    # A gigabyte holds what 100,000 meters write all the time: a tenth faster than a quarter of it (tests/bench).
    return _ALWAYS | {
        "shared_buffers": f"{max(16, min(256, memory_mib // 8), min(1024, memory_mib // 16))}MB",
        "effective_cache_size": f"{max(64, memory_mib // 2)}MB",
        "maintenance_work_mem": f"{max(16, min(128, memory_mib // 16))}MB",
    }


def memory_bytes() -> int:
    """The memory of the machine, or of the container that we run in when it may have less."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in _LIMITS:
        with suppress(OSError, ValueError):  # not Linux, or "max": there is no limit
            limits.append(int(file.read_text("ascii")))
    return min(limits)
