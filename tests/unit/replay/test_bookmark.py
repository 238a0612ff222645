"""Bookmarks: kept beside the file or in the user's state folder, and used only for the run they belong to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from citybrain.replay.bookmark import Bookmark, BookmarkFile
from citybrain.replay.errors import ReplayError
from citybrain.replay.timing import Anchor

ANCHOR = Anchor(datetime(2016, 10, 4, 7, tzinfo=UTC), datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC))
KEPT = Bookmark(1234, ANCHOR, {"read": 1234})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    path.write_text("{}\n", "utf-8")
    return path


def test_what_was_saved_is_found_again_and_removed_at_the_end(file: Path) -> None:
    BookmarkFile(file, "city", "now").save(KEPT)
    assert BookmarkFile(file, "city", "now").load() == KEPT
    BookmarkFile(file, "city", "now").remove()
    assert BookmarkFile(file, "city", "now").load() is None
    assert list(file.parent.iterdir()) == [file]


def test_another_city_or_shift_or_a_changed_file_has_no_bookmark(file: Path) -> None:
    BookmarkFile(file, "city", "now").save(KEPT)
    assert BookmarkFile(file, "village", "now").load() is None
    assert BookmarkFile(file, "city", "1d").load() is None
    file.write_text("{}\n{}\n", "utf-8")
    assert BookmarkFile(file, "city", "now").load() is None


def test_where_the_folder_cannot_be_written_the_state_folder_is_used(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = file.parent / "home"
    monkeypatch.setattr(Path, "home", lambda: home)
    file.with_name("events.ndjson.citybrain-progress").mkdir()
    BookmarkFile(file, "city").save(KEPT)
    assert BookmarkFile(file, "city").load() == KEPT
    (kept,) = (home / ".local" / "state" / "citybrain").glob("*.citybrain-progress")
    assert kept.name.startswith("events.ndjson.")


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"identity": 1}', "\x00"])
def test_a_damaged_bookmark_is_none(file: Path, damaged: str) -> None:
    file.with_name("events.ndjson.citybrain-progress").write_text(damaged, "utf-8")
    assert BookmarkFile(file, "city").load() is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"none\.ndjson"):
        BookmarkFile(tmp_path / "none.ndjson")
