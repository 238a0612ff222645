"""`make bench`, or `make bench ARGS="pipeline --shape dense --events 200000"`."""

from __future__ import annotations

import argparse

from tests.bench import pipeline


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("what", nargs="?", choices=["all", "pipeline"], default="all")
    parser.add_argument("--shape", action="append", default=[])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if options.what in ("all", "pipeline"):
        pipeline.measure(options.shape, options.events, options.runs)


main()
