"""Own which unit grid holds a point. Called by ingest for events that carry a location. Pure.

A point on an edge that grids share belongs to the one with the smaller code, and so does a point in an overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import shapely
from numpy.typing import NDArray

from citybrain.city.areas import Areas
from citybrain.city.validity import EARLIEST, LATEST

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Places:
    """A tree over the grids of all times. Longitudes and latitudes are degrees, WGS 84 or CGCS 2000."""

    def __init__(self, areas: Areas) -> None:
        self._areas = areas
        grids = areas.at_level("grid")
        self._codes = [grid.code for grid in grids]  # in order, so the smaller position is the smaller code
        self._validity = [grid.validity for grid in grids]
        self._shapes = np.array([grid.shape for grid in grids], dtype=object)
        self._begins_us = np.array([_since_epoch_us(grid.validity.begin) for grid in grids], dtype=np.int64)
        self._ends_us = np.array([_since_epoch_us(grid.validity.end) for grid in grids], dtype=np.int64)
        self._timeless = all(one.begin == EARLIEST and one.end == LATEST for one in self._validity)
        self._tree = shapely.STRtree(self._shapes)
        shapely.prepare([area.shape for area in areas.versions])

    def grid_at(self, lon: float, lat: float, at: datetime) -> str | None:
        """The code of the grid that held the point at that instant; None outside of all."""
        nearby: list[int] = self._tree.query(shapely.points(lon, lat)).tolist()
        for found in sorted(nearby):
            if self._validity[found].holds(at) and shapely.intersects_xy(self._shapes[found], lon, lat):
                return self._codes[found]
        return None

    def grids_at(self, lons: Sequence[float], lats: Sequence[float], ats: Sequence[datetime]) -> list[str | None]:
        """`grid_at` for many points at once."""
        if not len(lons) == len(lats) == len(ats):
            raise ValueError(f"{len(lons)} longitudes, {len(lats)} latitudes and {len(ats)} times are not as many")
        x, y = np.asarray(lons, dtype=np.float64), np.asarray(lats, dtype=np.float64)
        points, grids = self._tree.query(shapely.points(x, y))
        hit = shapely.intersects_xy(self._shapes[grids], x[points], y[points]) & self._valid(points, grids, ats)
        smallest = np.full(len(x), len(self._codes), dtype=np.int64)
        np.minimum.at(smallest, points[hit], grids[hit])
        codes = [*self._codes, None]
        return [codes[position] for position in smallest.tolist()]

    def within(self, code: str, lon: float, lat: float, at: datetime) -> bool:
        """Whether the point is in the area, its edge included, as it was at that instant. KeyError for an unknown code."""
        return bool(shapely.intersects_xy(self._areas.version_at(code, at).shape, lon, lat))

    def _valid(self, points: NDArray[np.int64], grids: NDArray[np.int64], ats: Sequence[datetime]) -> NDArray[np.bool_]:
        if self._timeless:
            return np.ones(len(points), dtype=np.bool_)
        at_us = np.array([_since_epoch_us(at) for at in ats], dtype=np.int64)[points]
        valid: NDArray[np.bool_] = (self._begins_us[grids] <= at_us) & (at_us < self._ends_us[grids])
        return valid


def _since_epoch_us(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
