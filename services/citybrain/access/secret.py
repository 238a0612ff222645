"""The text of a key: how one is made, read from a request, and hashed. Pure; the text is never stored or logged.

A key holds 256 random bits, so a plain SHA-256 is a safe hash of it (slow hashes protect guessable passwords), and looking
the hash up gives no hint through timing.
"""

from __future__ import annotations

import hashlib
import secrets
from uuid import UUID

from citybrain.errors import Unauthenticated

_LONGEST_KEY = 4096


def new_secret(key_id: UUID) -> str:
    """`cbk_` + the beginning of the key's id + `_` + 43 random characters."""
    return f"cbk_{key_id.hex[:8]}_{secrets.token_urlsafe(32)}"


def hash_of(key: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def bearer_hash(authorization: str | None) -> bytes:
    """The hash of the key in an Authorization header. Raises Unauthenticated."""
    if not authorization:
        raise Unauthenticated("this needs a key: send the header `Authorization: Bearer KEY`")
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key or len(key) > _LONGEST_KEY:
        raise Unauthenticated("the Authorization header is not of the form `Bearer KEY`")
    return hash_of(key)
