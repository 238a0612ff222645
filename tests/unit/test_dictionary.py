"""The keys by which series of assets are found without asking the database."""

from __future__ import annotations

import polars as pl

from citybrain.store.dictionary import Series, SeriesRows

NAMES = (("flow", "11", "meter", None), ("flow", "11", None, "meter"), ("flow", "1", "1meter", None), ("flow", "11", None, None))


def test_two_series_have_two_keys_and_one_has_one() -> None:
    rows = SeriesRows.of(pl.DataFrame([*NAMES, *NAMES], schema=dict.fromkeys(Series._fields, pl.String), orient="row"))
    assert rows.keys[: len(NAMES)] == rows.keys[len(NAMES) :]
    assert len(set(rows.keys)) == len(NAMES)
    assert rows.names.rows() == [*NAMES, *NAMES]


def test_a_frame_without_rows_has_no_keys() -> None:
    assert SeriesRows.of(pl.DataFrame(schema=dict.fromkeys(Series._fields, pl.String))).keys == []
