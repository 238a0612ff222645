"""Silences become holes, and holes cover windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from citybrain.api.holes import Due, Hole, Silence, dues, holes, window_starts
from citybrain.api.steps import Step
from citybrain.city import AssetFacts, Name, RosterLine, Validity

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTES = st.integers(0, 60 * 24 * 3)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def silences(times: list[datetime]) -> list[Silence]:
    edges = [None, *sorted(times), None]
    return [Silence(edges[n], edges[n + 1]) for n in range(len(edges) - 1)]


def due(begin: datetime | None = None, end: datetime | None = None, every: timedelta = HOUR) -> Due:
    return Due("meter", "utility.reading", every, begin, end)


def line(begin: datetime | None, end: datetime | None, every: timedelta | None = HOUR, area: str = "1") -> RosterLine:
    facts = AssetFacts(Name("", ""), None, None)
    return RosterLine("meter", "utility.reading", area, (), every, Validity(begin, end), facts)


def test_a_pause_of_one_and_a_half_times_every_is_no_hole_and_a_longer_one_is() -> None:
    assert holes(silences([at(0), at(90)]), due(), at(90)) == []
    assert holes(silences([at(0), at(91)]), due(), at(91)) == [Hole(at(0), at(91), at(0), at(91))]


def test_from_valid_from_to_the_first_reading_is_a_hole() -> None:
    assert holes(silences([at(300)]), due(at(0)), at(300)) == [Hole(at(0), at(300), None, at(300))]
    assert holes(silences([at(300)]), due(None), at(300)) == []


def test_the_last_hole_lasts_until_the_next_reading() -> None:
    assert holes(silences([at(0)]), due(), at(91)) == [Hole(at(0), None, at(0), None)]
    assert holes(silences([at(0)]), due(), at(90)) == []
    assert holes(silences([at(0)]), due(), None) == []


def test_an_asset_that_never_spoke_is_silent_since_it_was_rostered() -> None:
    assert holes(silences([]), due(at(0)), at(100)) == [Hole(at(0), None, None, None)]
    assert holes(silences([]), due(), at(100)) == []


def test_after_the_roster_lets_an_asset_go_it_may_be_silent() -> None:
    assert holes(silences([at(0)]), due(None, at(60)), at(9999)) == []
    assert holes(silences([at(0)]), due(None, at(600)), at(9999)) == [Hole(at(0), at(600), at(0), None)]
    assert holes(silences([at(0)]), due(None, at(600)), at(300)) == [Hole(at(0), None, at(0), None)]


def test_adjoining_lines_of_a_moved_asset_are_one_stretch() -> None:
    moved = dues([line(at(60), None, area="2"), line(at(0), at(60), area="1")])
    assert [(one.begin, one.end) for one in moved] == [(at(0), None)]
    apart = dues([line(at(90), None), line(at(0), at(60))])
    assert [(one.begin, one.end) for one in apart] == [(at(0), at(60)), (at(90), None)]
    assert dues([line(None, None, every=None)]) == []


def test_a_window_that_begins_with_a_reading_is_not_in_the_hole_and_one_that_ends_with_one_is() -> None:
    step = Step("1h", ZoneInfo("UTC"))
    assert window_starts(Hole(at(0), at(240), at(0), at(240)), step, None) == (at(60), at(240))
    assert window_starts(Hole(at(0), at(240), None, at(240)), step, None) == (at(0), at(240))
    assert window_starts(Hole(at(1), at(119), at(1), at(119)), step, None) is None
    assert window_starts(Hole(at(0), None, at(0), None), step, at(190)) == (at(60), at(180))


def _brute_force(times: list[datetime], start: datetime, end: datetime, stretch: Due, watermark: datetime) -> bool:
    """Whether a window lies in a hole, straight from the definition."""
    before = max((one for one in times if one < start), default=None)
    after = min((one for one in times if one >= start), default=None)
    if after is not None and after < end:
        return False
    since = max((one for one in (before, stretch.begin) if one is not None), default=None)
    until = min(
        one for one in (after, stretch.end, max(watermark, since or watermark) if after is None else None) if one is not None
    )
    return since is not None and since <= start and end <= until and until - since > stretch.longest


@given(st.lists(MINUTES, max_size=12), st.none() | MINUTES, st.none() | MINUTES, MINUTES, st.sampled_from([20, 60, 200]))
def test_windows_in_holes_are_those_of_the_definition(
    readings: list[int], begin: int | None, length: int | None, watermark: int, every: int
) -> None:
    times = [at(one) for one in readings]
    known = max([watermark, *readings])  # the watermark has passed every reading
    stretch = due(
        None if begin is None else at(begin),
        None if length is None else at((begin or 0) + length + 1),
        timedelta(minutes=every),
    )
    for name in ("1m", "1h"):
        step = Step("1h" if name == "1h" else "1m", ZoneInfo("UTC"))
        inside: set[datetime] = set()
        for hole in holes(silences(times), stretch, at(known)):
            if (found := window_starts(hole, step, at(known))) is not None:
                inside |= set(step.starts(*found))
        for start in step.starts(T0, at(60 * 24 * 3 + 120)) if name == "1h" else step.starts(at(0), at(400)):
            assert (start in inside) == _brute_force(times, start, step.after(start), stretch, at(known)), start
