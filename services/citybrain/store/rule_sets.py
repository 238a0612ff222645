"""Rule sets as rows: the texts of rules/*.yaml under a version. Called by citybrain.profiles; alert reads by its version.

Endpoints are never part of a rule set: their file may hold secrets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from citybrain.store.pool import Connection
from citybrain.store.queries import load

_SQL = load("rule_sets")
_LOCK = 0x72756C65  # "rule"


class RuleSet(NamedTuple):
    """A rule set: its files as they were written."""

    version: int
    sha256: bytes
    files: Mapping[str, bytes]
    made_by: str
    loaded_at: datetime


def digest_of(files: Mapping[str, bytes]) -> bytes:
    """SHA-256 over names and bytes, in the order of the names, each part preceded by its length."""
    digest = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


async def put_rule_set(connection: Connection, files: Mapping[str, bytes], made_by: str) -> int:
    """Make these files (UTF-8) the current rule set, in the caller's transaction; the version that they have."""
    await connection.execute(_SQL["one_at_a_time"], _LOCK)
    row = await connection.fetchrow(_SQL["current"])
    digest = digest_of(files)
    if row is not None and row["sha256"] == digest:
        return int(row["version"])
    texts = json.dumps({name: files[name].decode() for name in sorted(files)}, ensure_ascii=False)
    return int(await connection.fetchval(_SQL["add"], digest, texts, made_by))


async def current(connection: Connection) -> RuleSet | None:
    """The rule set that was put last; None before the first one."""
    return _rule_set(await connection.fetch(_SQL["current"]))


async def of_version(connection: Connection, version: int) -> RuleSet | None:
    """One rule set; None when there is none of this version."""
    return _rule_set(await connection.fetch(_SQL["of_version"], version))


async def current_version(connection: Connection) -> int | None:
    """The version that was put last; None before the first one."""
    found = await connection.fetchval(_SQL["current_version"])
    return None if found is None else int(found)


def _rule_set(rows: Sequence[Any]) -> RuleSet | None:
    for version, digest, files, made_by, loaded_at in rows:
        texts = {name: text.encode() for name, text in json.loads(files).items()}
        return RuleSet(version, bytes(digest), texts, made_by, loaded_at)
    return None
