"""Refuse what a route does not know: a misspelt filter would filter nothing, and nobody would notice. Called by router."""

from __future__ import annotations

import difflib
from collections import Counter

from fastapi import Request
from fastapi.routing import APIRoute

from citybrain.web import invalid


async def only_known_names(request: Request) -> None:
    """Raises Problem 422 for a parameter of the query that the route does not have, or that is given twice and is no list."""
    known = _names(request.scope["route"])
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise invalid(name[:100], f"is not known here{f'; did you mean {near[0]}?' if near else ''}")
        if times > 1 and not known[name]:
            raise invalid(name, "is given more than once")


def _names(route: APIRoute) -> dict[str, bool]:
    """The parameters of a route's query, and whether each may be given several times."""
    return {one.alias: "list[" in str(one.field_info.annotation) for one in route.dependant.query_params}
