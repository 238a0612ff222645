"""What became of the items of one post, and the answer that says so. Called by http. Pure."""

from __future__ import annotations

from collections import Counter

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from citybrain.web.problem import Problem, problem_response
from citybrain_schemas.errors import ItemError, RejectCode

MAX_LISTED = 10_000  # refused items that are listed; a body of 64 MiB could hold 32 million
_MAX_ID_CHARS = 256
_JSON = "application/json"


class Rejected(msgspec.Struct, omit_defaults=True):
    """`citybrain_schemas.errors.RejectedItem`."""

    index: int
    code: RejectCode
    detail: str
    id: str | None = None
    field: str | None = None


class Accepted:
    """The answer when nothing was refused: `Response` would cost as much as reading the event did."""

    def __init__(self, accepted: int) -> None:
        self._body = b'{"accepted":%d,"rejected":[]}' % accepted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        headers = [(b"content-length", b"%d" % len(self._body)), (b"content-type", _JSON.encode())]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": self._body})


class Tally:
    """Counts the items of one post."""

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected: list[Rejected] = []
        self.codes: Counter[RejectCode] = Counter()

    def reject(self, index: int, item: object, error: ItemError) -> None:
        """Note a refused item; `item` is what could be decoded of it."""
        self.codes[error.code] += 1
        if len(self.rejected) >= MAX_LISTED:
            return
        given = item.get("id") if isinstance(item, dict) else None
        shown = given[:_MAX_ID_CHARS] if isinstance(given, str) else None
        self.rejected.append(Rejected(index, error.code, error.detail, shown, error.field))

    def members(self) -> dict[str, object]:
        """`accepted` and `rejected`, and how many more were refused than are listed."""
        unlisted = self.codes.total() - len(self.rejected)
        found: dict[str, object] = {"accepted": self.accepted, "rejected": self.rejected}
        return found | ({"rejected_unlisted": unlisted} if unlisted else {})

    def answer(self) -> Response | Accepted:
        """202, 207 or 422."""
        if not self.codes:
            return Accepted(self.accepted)
        if self.accepted:
            return Response(msgspec.json.encode(self.members()), 207, media_type=_JSON)
        first = self.rejected[0]
        detail = f"no event was accepted; the first: {first.field or 'the item'} {first.detail}"
        return problem_response(Problem(422, detail, more=self.members()))
