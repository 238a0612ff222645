"""`make bench`, or `make bench ARGS="pipeline --shape dense --events 200000"`."""

from __future__ import annotations

import argparse

from tests.bench import decide, deliveries, memory, pipeline, preloaded, reads, single_posts, ticks


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    what = ["all", "pipeline", "decide", "single", "memory", "deliveries", "ticks", "preloaded", "reads"]
    parser.add_argument("what", nargs="?", choices=what, default="all")
    parser.add_argument("--shape", action="append", default=[], help="dense, meters, registers or backlog; all without it")
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if options.what in {"all", "pipeline"}:
        pipeline.measure(options.shape, options.events, options.runs)
    if options.what in {"all", "decide"}:
        decide.measure()
    if options.what in {"all", "single"}:
        single_posts.measure(options.runs)
    if options.what in {"all", "memory"}:
        memory.measure()
    if options.what in {"all", "deliveries"}:
        deliveries.measure()
    if options.what in {"all", "ticks"}:
        ticks.measure()
    if options.what in {"all", "reads"}:
        reads.measure(options.runs)
    if options.what in {"all", "preloaded"}:
        preloaded.measure(options.shape, options.events, options.runs)


main()
