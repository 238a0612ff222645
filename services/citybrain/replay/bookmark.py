"""How far a run came, kept beside its file, so that the same command goes on there. Called by run. Never holds a key.

The bookmark is FILE.citybrain-progress, or below the user's state folder when the file's folder cannot be written. It belongs to
one file (size, time of change, first bytes), one city, one map, one shift and one speed; for anything else it does not count.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from citybrain.replay.errors import ReplayError
from citybrain.replay.timing import Anchor

HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Records behind which everything was answered, the anchor of a shifted run, and the counts up to there."""

    done: int
    anchor: Anchor | None
    report: dict[str, Any]


class BookmarkFile:
    """The place of one run's bookmark."""

    def __init__(self, path: Path, *belonging: str) -> None:
        self._identity = _identity(path, belonging)
        beside = path.with_name(path.name + ".citybrain-progress")
        self._places = [beside]
        with suppress(RuntimeError):  # an account without a home, as containers have them
            hashed = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
            self._places.append(Path.home() / ".local" / "state" / "citybrain" / f"{path.name}.{hashed}.citybrain-progress")

    def load(self) -> Bookmark | None:
        """The bookmark of an interrupted run of the same kind; None when there is none that can be used."""
        for place in self._places:
            try:
                kept = json.loads(place.read_text("utf-8"))
                if kept["identity"] == self._identity:
                    anchor = kept["anchor"] and Anchor(*(datetime.fromisoformat(text) for text in kept["anchor"]))
                    return Bookmark(int(kept["done"]), anchor, kept["report"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None

    def save(self, bookmark: Bookmark) -> None:
        """Write it whole or not at all. Where nothing can be written, the run goes on without one."""
        anchor = bookmark.anchor and [bookmark.anchor.first.isoformat(), bookmark.anchor.now.isoformat()]
        text = json.dumps({"identity": self._identity, "done": bookmark.done, "anchor": anchor, "report": bookmark.report})
        for place in self._places:
            partial = place.with_name(place.name + ".part")
            try:
                if place is not self._places[0]:
                    place.parent.mkdir(parents=True, exist_ok=True)
                partial.write_text(text, "utf-8")
                partial.replace(place)
            except OSError:
                continue
            return

    def remove(self) -> None:
        """The run is finished: the next one begins at the start."""
        for place in self._places:
            with suppress(OSError):
                place.unlink()


def _identity(path: Path, belonging: tuple[str, ...]) -> str:
    try:
        facts = path.stat()
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise ReplayError(f"cannot read {path}: {error.strerror or error}") from error
    known = json.dumps([facts.st_size, facts.st_mtime_ns, hashlib.sha256(head).hexdigest(), *belonging])
    return hashlib.sha256(known.encode()).hexdigest()
