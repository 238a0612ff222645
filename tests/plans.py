"""The nodes of a plan as EXPLAIN gives it in JSON. For tests of what a statement reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node and all beneath it."""
    yield plan
    for one in plan.get("Plans", ()):
        yield from nodes(one)
