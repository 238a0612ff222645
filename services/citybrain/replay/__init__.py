"""Posting recorded events: files of events and CSV files through maps. Talks to a city only over its public HTTP API.

run.py        the command's life: read, time, send, report        → called by the command line
records.py    files, compressed or not, as numbered records
csv_map.py    a map's YAML, checked with file, line and field     → rows.py applies it, local_clock.py reads its local times
timing.py     shifting and pacing by event time
posting.py    one city's POST /v1/events, retried until kept      → used by simulate and demo too
sending.py    batches in flight, acknowledged in order            → used by simulate too
bookmark.py   how far a run came, kept beside the file
report.py     what happened, and the progress while it happens
"""
