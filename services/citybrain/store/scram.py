"""A password in the form in which PostgreSQL keeps it (RFC 5803), so that the password itself never reaches a log. Pure.

Called by `citybrain readers`. Only printable ASCII is taken: of other signs SASLprep would make something else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from citybrain.errors import CitybrainError

ITERATIONS = 4096  # PostgreSQL's own
MIN_CHARACTERS = 12


class PasswordRefused(CitybrainError):
    """A password that cannot be used."""


def verifier(password: str, salt: bytes) -> str:
    """SCRAM-SHA-256$iterations:salt$stored key:server key. Raises PasswordRefused."""
    if len(password) < MIN_CHARACTERS or not password.isascii() or not password.isprintable():
        raise PasswordRefused(f"a password has at least {MIN_CHARACTERS} characters, all of them printable ASCII")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    stored = hashlib.sha256(_signed(salted, b"Client Key")).digest()
    keys = ":".join(_base64(key) for key in (stored, _signed(salted, b"Server Key")))
    return f"SCRAM-SHA-256${ITERATIONS}:{_base64(salt)}${keys}"


def _signed(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
