"""Which area was where, under what, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from city_files import area, city_areas, parse, square
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon, shape

from citybrain.city import City, Validity

MOVED = datetime(2024, 6, 30, 16, tzinfo=UTC)  # midnight of July 1 in Shanghai
BEFORE, AFTER = MOVED - timedelta(microseconds=1), MOVED


def split_city() -> City:
    """On 2024-07-01 grid …1002 is handed to the second community, grid …2002 is split and ends."""
    areas = [one for one in city_areas() if one["properties"]["code"] not in ("610602001001002", "610602001002002")]
    second, third = square(1, 0, 2, 1), square(3, 0, 4, 1)
    areas += [
        area("610602001001002", "grid", "610602001001", second, valid_to="2024-07-01"),
        area("610602001001002", "grid", "610602001002", second, valid_from="2024-07-01"),
        area("610602001002002", "grid", "610602001002", third, valid_to="2024-07-01"),
        area("610602001002003", "grid", "610602001002", square(3, 0, 3.5, 1), valid_from="2024-07-01"),
        area("610602001002004", "grid", "610602001002", square(3.5, 0, 4, 1), valid_from="2024-07-01"),
    ]
    return parse(areas)


def test_a_path_leads_from_the_code_to_the_city() -> None:
    areas = parse().areas
    assert areas.path_at("610602001001001", AFTER) == ("610602001001001", "610602001001", "610602001", "610602", "610600")
    assert areas.path_at("610600", AFTER) == ("610600",)
    assert areas.parent_at("610602", AFTER) == "610600"
    assert areas.parent_at("610600", AFTER) is None
    assert areas.level("610602001") == "street"
    assert not areas.known("610699")


def test_a_code_that_nobody_knows_is_a_key_error() -> None:
    areas = parse().areas
    for ask in (areas.parent_at, areas.path_at, areas.children_at, areas.version_at):
        with pytest.raises(KeyError):
            ask("610699", AFTER)


def test_parents_are_those_of_the_time_and_a_date_begins_at_local_midnight() -> None:
    areas = split_city().areas
    assert areas.parent_at("610602001001002", BEFORE) == "610602001001"
    assert areas.parent_at("610602001001002", AFTER) == "610602001002"
    assert areas.children_at("610602001001", BEFORE) == ("610602001001001", "610602001001002")
    assert areas.children_at("610602001001", AFTER) == ("610602001001001",)


def test_a_code_that_has_ended_keeps_its_last_parent_and_one_to_come_has_its_first() -> None:
    areas = split_city().areas
    assert areas.path_at("610602001002002", AFTER)[1] == "610602001002"
    assert areas.path_at("610602001002003", BEFORE)[1] == "610602001002"
    assert "610602001002002" not in areas.children_at("610602001002", AFTER)


def test_geojson_is_of_one_level_and_one_time_if_asked() -> None:
    areas = split_city().areas
    features = areas.geojson("grid", AFTER)["features"]
    assert isinstance(features, list)
    codes = [one["properties"]["code"] for one in features]
    assert codes == ["610602001001001", "610602001001002", "610602001002001", "610602001002003", "610602001002004"]
    assert features[1]["properties"]["valid_from"] == "2024-06-30T16:00:00Z"
    first = shape(features[0]["geometry"])
    assert isinstance(first, Polygon)
    assert first.exterior.is_ccw
    everything = areas.geojson()["features"]
    assert isinstance(everything, list)
    assert len(everything) == len(areas.versions)


def test_a_point_is_in_the_grid_of_the_time() -> None:
    places = split_city().places
    assert places.grid_at(3.2, 0.5, BEFORE) == "610602001002002"
    assert places.grid_at(3.2, 0.5, AFTER) == "610602001002003"
    assert places.grids_at([3.2, 3.7, 9], [0.5, 0.5, 0.5], [BEFORE, AFTER, AFTER]) == ["610602001002002", "610602001002004", None]


def test_a_point_on_a_shared_edge_belongs_to_the_smaller_code() -> None:
    places = parse().places
    assert places.grid_at(1.0, 0.5, AFTER) == "610602001001001"
    assert places.grid_at(2.0, 1.0, AFTER) == "610602001001002"
    assert places.grid_at(0.0, 0.0, AFTER) == "610602001001001"
    swapped = [
        one | {"geometry": other["geometry"]} for one, other in zip(city_areas()[3:], reversed(city_areas()[3:]), strict=True)
    ]
    mirrored = parse([*city_areas()[:3], *swapped]).places
    assert mirrored.grid_at(1.0, 0.5, AFTER) is not None
    corners = [0.0, 1.0, 2.0, 3.0, 4.0]
    assert places.grids_at(corners, [1.0] * 5, [AFTER] * 5) == [places.grid_at(lon, 1.0, AFTER) for lon in corners]


def test_outside_of_all_grids_there_is_none() -> None:
    places = parse().places
    assert places.grid_at(4.000001, 0.5, AFTER) is None
    assert places.grid_at(float("nan"), 0.5, AFTER) is None
    assert places.grids_at([], [], []) == []


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="not as many"):
        parse().places.grids_at([1.0, 2.0], [1.0], [AFTER])


def test_within_follows_the_shape_of_the_time_its_edge_included() -> None:
    places = split_city().places
    assert places.within("610602001", 4.0, 1.0, AFTER)
    assert not places.within("610602001001", 2.5, 0.5, AFTER)
    with pytest.raises(KeyError):
        places.within("610699", 1, 1, AFTER)


def test_a_grid_may_be_of_several_parts_and_have_holes_and_heights() -> None:
    areas = city_areas()
    shell = [[0, 0, 12.5], [1, 0, 12.5], [1, 1, 12.5], [0, 1, 12.5], [0, 0, 12.5]]
    hole = [[0.25, 0.25], [0.25, 0.75], [0.75, 0.75], [0.75, 0.25], [0.25, 0.25]]
    far = square(8, 0, 9, 1)["coordinates"]
    areas[4]["geometry"] = {"type": "MultiPolygon", "coordinates": [[shell, hole], far]}
    places = parse(areas).places
    assert places.grids_at([0.1, 0.5, 8.5], [0.5] * 3, [AFTER] * 3) == ["610602001001001", None, "610602001001001"]


def test_a_city_without_grids_holds_no_point() -> None:
    places = parse(city_areas()[:3], assets_csv="subject,type,area\n").places
    assert places.grid_at(1.0, 0.5, AFTER) is None
    assert places.grids_at([1.0], [0.5], [AFTER]) == [None]


SPLIT = split_city()


@given(st.lists(st.tuples(st.floats(-0.5, 4.5), st.floats(-0.5, 1.5), st.booleans()), max_size=30))
def test_many_points_at_once_give_what_one_at_a_time_gives(points: list[tuple[float, float, bool]]) -> None:
    ats = [AFTER if late else BEFORE for _, _, late in points]
    single = [SPLIT.places.grid_at(lon, lat, at) for (lon, lat, _), at in zip(points, ats, strict=True)]
    assert SPLIT.places.grids_at([one[0] for one in points], [one[1] for one in points], ats) == single
    for (lon, lat, _), at, code in zip(points, ats, single, strict=True):
        assert (code is None) == (not (0 <= lon <= 4 and 0 <= lat <= 1))
        if code is not None:
            assert all(SPLIT.places.within(above, lon, lat, at) for above in (code, "610602001", "610600"))


moments = st.one_of(st.none(), st.datetimes(datetime(2020, 1, 1), datetime(2020, 1, 9)).map(lambda at: at.replace(tzinfo=UTC)))  # noqa: DTZ001
stretches = st.builds(Validity, moments, moments).filter(lambda one: one.begin < one.end)


@given(stretches, st.lists(stretches, max_size=5), st.datetimes(datetime(2019, 12, 31), datetime(2020, 1, 10)))  # noqa: DTZ001
def test_what_is_not_uncovered_is_covered_at_every_instant(child: Validity, parents: list[Validity], at: datetime) -> None:
    missing = child.uncovered_by(parents)
    if missing is not None:
        assert child.holds(missing)
        assert not any(one.holds(missing) for one in parents)
    elif child.holds(at.replace(tzinfo=UTC)):
        assert any(one.holds(at.replace(tzinfo=UTC)) for one in parents)


@given(stretches, stretches)
def test_two_stretches_overlap_where_the_later_one_begins(one: Validity, other: Validity) -> None:
    later = max(one.begin, other.begin)
    assert one.overlaps(other) == other.overlaps(one) == (one.holds(later) and other.holds(later))
