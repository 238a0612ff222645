"""`make bench`, or `make bench ARGS="pipeline --shape dense --events 200000"`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tests.bench import decide, deliveries, memory, packed, pipeline, preloaded, reads, single_posts, sizes, ticks


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    what = ["all", "pipeline", "decide", "single", "memory", "deliveries", "ticks", "reads", "preloaded", "bytes", "packed"]
    parser.add_argument("what", nargs="?", choices=what, default="all")
    parser.add_argument("--shape", action="append", default=[], help="dense, meters, registers or backlog; all without it")
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    benches: dict[str, Callable[[], None]] = {
        "pipeline": lambda: pipeline.measure(options.shape, options.events, options.runs),
        "decide": decide.measure,
        "single": lambda: single_posts.measure(options.runs),
        "memory": memory.measure,
        "deliveries": deliveries.measure,
        "ticks": ticks.measure,
        "reads": lambda: reads.measure(options.runs),
        "preloaded": lambda: preloaded.measure(options.shape, options.events, options.runs),
        "bytes": sizes.measure,
        "packed": packed.measure,
    }
    for name in benches if options.what == "all" else [options.what]:
        benches[name]()


main()
