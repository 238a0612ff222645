"""Which series are rolled up together. Called by aggregate.rollup and, to number series, by aggregate.worker. Pure.

A metric below one street is one shard's, so a change goes up to its street in one pass; streets and metrics are spread over
the shards. Districts and the city are made by the top shard, which also says what is complete. A series keeps the shard that
its number says, wherever its area belongs later: that costs another pass, and changes no figure.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from zlib import crc32

from citybrain.city import Areas, City
from citybrain.store.dictionary import SHARDS, Series

TOP = 0
ALL = frozenset(range(SHARDS))
_ABOVE_STREETS = ("city", "district")


def shard_of(number: int) -> int:
    """The shard of a numbered series."""
    return number % SHARDS


def sharding(city: Callable[[], City]) -> Callable[[Series], int]:
    """The shard that a new series gets. An area that the profile does not know adds to nothing: the top shard makes it."""

    def shard(series: Series) -> int:
        street = _street_of(city().areas, series.area)
        return TOP if street is None else 1 + crc32(f"{series.metric} {street}".encode()) % (SHARDS - 1)

    return shard


@lru_cache(maxsize=100_000)
def _street_of(areas: Areas, code: str) -> str | None:
    """The street that an area is or lies in, by its last parents; None above streets, and where the profile does not know it."""
    while areas.known(code) and areas.level(code) not in _ABOVE_STREETS:
        if areas.level(code) == "street":
            return code
        code = areas.versions_of(code)[-1].parent or ""
    return None
