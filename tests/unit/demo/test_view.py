"""What the demo draws."""

from __future__ import annotations

import io
import shlex
from datetime import UTC, datetime, timedelta

from rich.console import Console

from citybrain.demo.figures import HOUR, Figures, Grid, Lot
from citybrain.demo.view import Guide, Progress, picture, plain_line, sparkline

NOW = datetime(2026, 11, 23, 4, 17, tzinfo=UTC)
STATUS = {"accepted": 1200, "stored": 1190, "repeated": 10, "roles": {"aggregate": {"lag": 3}, "rollup": {"lag": 4}}}
LOT = Lot("Bull Ring", "610601001001001", 2900.0, 0.97, (0.0, None, 0.5, 1.0), (0.97,))


def test_silence_is_a_dot_and_never_the_lowest_block() -> None:
    assert sparkline([None, 0.0, 0.5, 1.0, 1.3, -0.1]) == "·▁▅██▁"


def test_windows_without_readings_stay_empty() -> None:
    grid = Grid(NOW.replace(minute=0), HOUR, 3)
    points = [
        {"start": "2026-11-23T05:00:00Z", "value": None},
        {"start": "2026-11-23T06:00:00Z", "value": 2.5},
        {"start": "2026-11-24T06:00:00Z", "value": 1},
    ]
    assert grid.placed(points) == (None, None, 2.5)


def test_a_plain_line_says_how_all_stands() -> None:
    line = plain_line(Progress(history=9, posted=9, living=True, per_second=8.0), Figures(STATUS, lots=[LOT]))
    assert (
        line
        == "live, 8.0 events/s · accepted 1,200 · stored 1,190 · repeated 10 · conflicts 0 · dead 0 · lag 7 · Bull Ring 97% full"
    )
    assert "waiting for the city: 503" in plain_line(Progress(trouble="503"), Figures())


def test_the_picture_shows_lots_and_never_breaks_on_an_empty_city() -> None:
    out = io.StringIO()
    console = Console(file=out, width=160, force_terminal=True, color_system=None)
    console.print(picture(Progress(), Figures(), "http://127.0.0.1:8000"))
    console.print(picture(Progress(living=True), Figures(STATUS, lots=[LOT, Lot("new", "1")]), "http://127.0.0.1:8000"))
    assert "2,900" in out.getvalue()
    assert "▁·▅█" in out.getvalue()


def test_commands_to_try_are_whole_shell_commands() -> None:
    text = Guide("http://127.0.0.1:8000", "the-key", NOW).what_to_open(
        Figures(STATUS, "610600", lots=[LOT]), (NOW - timedelta(9), NOW)
    )
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("curl")]
    assert len(commands) == 7
    assert all("Authorization: Bearer the-key" in command for command in commands)
    assert commands[1][-1].startswith(
        "http://127.0.0.1:8000/v1/series?metric=parking.occupied_ratio&area=610601001001001&subject=Bull%20Ring&step=1h"
    )
    assert "the-key" not in repr(Guide("http://127.0.0.1:8000", "the-key", NOW))
