"""Where an asset was and when, and what a roster may say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from city_files import parse

from citybrain.city import Name

HEADER = "subject,type,area,metrics,every,valid_from,valid_to\n"
MOVED = datetime(2024, 6, 30, 16, tzinfo=UTC)  # midnight of July 1 in Shanghai
BEFORE, AFTER = MOVED - timedelta(microseconds=1), MOVED
LEFT, RIGHT = "610602001001001", "610602001002002"


def test_a_line_holds_what_the_file_says() -> None:
    lot, meter = parse().roster.lines
    assert (lot.subject, lot.type, lot.area, lot.every) == ("lot-1", "parking.occupancy", LEFT, timedelta(minutes=30))
    assert (lot.facts.name, lot.facts.location, lot.facts.capacity) == (Name("Lot 1", "停车场"), (0.5, 0.5), 9)
    assert (lot.valid_from, lot.valid_to, lot.metrics) == (None, None, ())
    assert meter.metrics == ("water.flow", "water.pressure")
    assert meter.valid_from == datetime(2025, 12, 31, 16, tzinfo=UTC)
    assert (meter.facts.location, meter.facts.capacity) == (None, None)


def test_columns_may_come_in_any_order_and_blank_lines_are_passed_over() -> None:
    roster = parse(assets_csv=f"area, type ,subject\n\n{LEFT},bin.level,bin-1\n , ,\n").roster
    assert [(line.subject, line.area, line.every) for line in roster.lines] == [("bin-1", LEFT, None)]


def test_a_moved_asset_is_where_it_was_at_the_time() -> None:
    lines = f"m,utility.reading,{LEFT},,1h,,2024-07-01\nm,utility.reading,{RIGHT},,1h,2024-07-01,2025-07-01\n"
    roster = parse(assets_csv=HEADER + lines).roster
    assert roster.area_of("m", BEFORE) == LEFT
    assert roster.area_of("m", AFTER) == RIGHT
    assert roster.area_of("m", AFTER + timedelta(days=365)) is None
    assert roster.area_of("nobody", AFTER) is None
    assert [line.area for line in roster.lines_of("m")] == [LEFT, RIGHT]
    assert roster.lines_of("nobody") == ()


def test_an_asset_may_have_a_line_for_each_type_and_for_each_metric() -> None:
    lines = (
        f"m,utility.reading,{LEFT},water.flow,15m,,\nm,utility.reading,{LEFT},water.pressure,1h,,\nm,device.battery,{LEFT},,,,\n"
    )
    roster = parse(assets_csv=HEADER + lines).roster
    assert [line.metrics for line in roster.lines_of("m")] == [("water.flow",), ("water.pressure",), ()]
    assert roster.area_of("m", AFTER) == LEFT


def test_lines_in_an_area_are_those_of_it_and_below_at_the_time() -> None:
    street = "610602001"
    lines = f"a,bin.level,{LEFT},,,,\nb,bin.level,{RIGHT},,,,2024-07-01\nc,bin.level,{street},,,,\n"
    roster = parse(assets_csv=HEADER + lines).roster
    assert [line.subject for line in roster.lines_in("610600", BEFORE)] == ["a", "b", "c"]
    assert [line.subject for line in roster.lines_in("610600", AFTER)] == ["a", "c"]
    assert [line.subject for line in roster.lines_in("610602001001", AFTER)] == ["a"]
    assert [line.subject for line in roster.lines_in(street, AFTER)] == ["a", "c"]


def test_quoted_cells_may_hold_commas_and_quotation_marks() -> None:
    roster = parse(assets_csv=f'subject,type,area,name_en\n"a,b",bin.level,{LEFT},"The ""big"" bin"\n').roster
    assert [(line.subject, line.facts.name.en) for line in roster.lines] == [("a,b", 'The "big" bin')]


def test_a_big_roster_is_read_whole() -> None:
    count = 20_000
    lines = "".join(f"m-{number},utility.reading,{LEFT},water.flow,15m,2020-01-01,\n" for number in range(count))
    roster = parse(assets_csv=HEADER + lines).roster
    assert len(roster.lines) == len({line.subject for line in roster.lines_in("610600", AFTER)}) == count
