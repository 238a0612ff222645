"""A believable city for tests, benchmarks and first looks: seeded, with faults that are written down. Posts over HTTP only.

rhythm.py     the hours and days of a city (pure)
actors.py     lots, water meters, bins: what each says at a moment (pure)
faults.py     what goes wrong, when, and for whom (pure)
stream.py     everything as one stream of posts, late and repeated ones included (pure: same plan, same bytes)
run.py        `citybrain simulate`: asks for the grids, posts the stream, writes the truth     → called by the command line
"""
