"""Who asks, and what each role may. Pure; used by every HTTP route."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from citybrain.errors import Forbidden


class Role(StrEnum):
    """`ingest` posts events and reads nothing; each of the others may all that the one before it may."""

    INGEST = "ingest"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_RANK = {Role.INGEST: 0, Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMIN: 3}


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a key. Without a `source_prefix` any source may be posted."""

    key_id: UUID
    name: str
    role: Role
    source_prefix: str | None = None

    @property
    def may_post(self) -> bool:
        """Whether events may be posted at all."""
        return self.role in (Role.INGEST, Role.ADMIN)

    def may(self, role: Role) -> bool:
        """Whether what `role` (viewer, operator, admin) may do is allowed."""
        return _RANK[self.role] >= _RANK[role]

    def must_be(self, role: Role) -> Principal:
        """Itself, when what `role` may do is allowed. Raises Forbidden."""
        if not self.may(role):
            raise Forbidden(f"this needs a key of role {role} or more; yours is {self.role}")
        return self

    def must_post(self) -> Principal:
        """Itself, when events may be posted. Raises Forbidden."""
        if not self.may_post:
            raise Forbidden(f"posting events needs a key of role ingest or admin; yours is {self.role}")
        return self
